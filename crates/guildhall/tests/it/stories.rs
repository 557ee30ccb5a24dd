//! What people do in a hall. Each is told to any hall by its addresses alone.

use guildhall_proto::chat::v1::{
    ListMessagesRequest, ListMessagesResponse, PostMessageRequest, PostMessageResponse,
    message_service_client::MessageServiceClient,
};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Request;

use crate::support::{Hall, Live, Person, grpc_web, person::string};

/// Two people sign up, find each other, open a conversation, and each sees what the other says.
pub async fn two_people_meet_and_talk(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;

    let found = alice.get("/users/search?q=bob").await;
    let channel = alice.direct(&bob).await;
    let same = bob.direct(&alice).await;
    let first = alice.say(&channel, "Are you coming on Thursday?").await;
    bob.say(&channel, "Yes, and I bring the map.").await;

    assert_eq!(found["users"][0]["id"], bob.id.as_str());
    assert_eq!(same, channel);
    let both = ["Are you coming on Thursday?", "Yes, and I bring the map."];
    assert_eq!(alice.texts(&channel).await, both);
    assert_eq!(bob.texts(&channel).await, both);
    assert_eq!(
        (&first["seq"], &first["authorId"]),
        (&json!(1), &json!(alice.id))
    );
}

/// A team has channels; who is in it reads and posts, who is not finds nothing there, and who is sent away hears no more.
pub async fn a_team_has_its_channels_and_its_people(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let carol = Person::register(hall, "carol").await;

    let team = alice.team("Harbour", &[&bob]).await;
    let general = alice.channel(&team, "general").await;
    bob.say(&general, "hello everybody").await;
    let messages = format!("/channels/{general}/messages");
    let stranger = carol.try_call(Method::GET, &messages, None).await;
    let absent = carol
        .try_call(
            Method::GET,
            "/channels/01900000-0000-7000-8000-000000000001/messages",
            None,
        )
        .await;
    alice
        .post(
            &format!("/spaces/{team}/members"),
            json!({ "userId": carol.id }),
        )
        .await;
    let welcome = carol.texts(&general).await;
    alice
        .delete(&format!("/spaces/{team}/members/{}", carol.id))
        .await;
    let sent_away = carol.refused_within(hall.rights_take(), &messages).await;

    assert_eq!(welcome, ["hello everybody"]);
    let status =
        |answer: &Result<Value, (u16, Value)>| answer.as_ref().err().map(|refused| refused.0);
    assert_eq!(
        [status(&stranger), status(&absent), status(&sent_away)],
        [Some(404); 3]
    );
    let words =
        |answer: Result<Value, (u16, Value)>| answer.expect_err("refused").1["detail"].clone();
    assert_eq!(words(stranger), words(absent));
}

/// What one says, the others see as it happens, on every wire, in order and once.
pub async fn what_one_says_the_others_see_live_on_every_wire(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let channel = alice.direct(&bob).await;
    let mut wires = vec![
        bob.socket(json!({})).await,
        bob.open(json!({})).await,
        bob.events("", None).await,
    ];
    for live in &mut wires {
        live.next("ready").await;
    }

    let message = alice.say(&channel, "one").await;
    alice.say(&channel, "two").await;
    let path = format!("/channels/{channel}/messages/{}", string(&message["id"]));
    alice
        .patch(&path, json!({ "text": "one, corrected" }))
        .await;
    alice.delete(&path).await;

    for live in &mut wires {
        let mut revs = Vec::new();
        for _ in 0..4 {
            let frame = live.next("message").await;
            assert_eq!(frame["channelId"], channel.as_str());
            revs.push((frame["rev"].clone(), frame["message"]["text"].clone()));
        }
        assert_eq!(revs[0], (json!(1), json!("one")));
        assert_eq!(revs[1], (json!(2), json!("two")));
        assert_eq!(revs[2], (json!(3), json!("one, corrected")));
        assert_eq!(revs[3].0, json!(4));
    }
}

/// A channel made after the stream began joins it; a channel lost leaves it.
pub async fn a_stream_follows_what_its_reader_may_read(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let team = alice.team("Harbour", &[]).await;
    let general = alice.channel(&team, "general").await;
    let mut live = bob.socket(json!({})).await;
    live.next("ready").await;

    alice
        .post(
            &format!("/spaces/{team}/members"),
            json!({ "userId": bob.id }),
        )
        .await;
    live.next_where("the channel of the team", |frame| {
        frame["channel"]["id"] == general.as_str() || ready_with(frame, &general)
    })
    .await;
    alice.say(&general, "welcome, Bob").await;
    live.message("welcome, Bob").await;
    alice
        .delete(&format!("/spaces/{team}/members/{}", bob.id))
        .await;

    let gone = live.next("gone").await;
    assert_eq!(gone["channelId"], general.as_str());
}

fn ready_with(frame: &Value, channel: &str) -> bool {
    let heads = frame["ready"]["heads"].as_array();
    heads.is_some_and(|heads| heads.iter().any(|head| head["channelId"] == channel))
}

/// Typing is seen by who has the channel on screen, presence by who shows the person.
pub async fn typing_and_presence_are_seen(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let channel = alice.direct(&bob).await;
    let on_screen = json!({ "typingChannelIds": [channel], "presenceUserIds": [bob.id] });
    let mut watching = alice.socket(on_screen).await;
    let absent = watching.next("presence").await;

    let bobs = bob.open(json!({})).await;
    let came = presence(&mut watching, &bob).await;
    bobs.say(json!({ "typing": { "channelId": channel } }))
        .await;
    let typing = watching.next("typing").await;
    bobs.say(json!({ "presence": { "state": "PRESENCE_STATE_AWAY" } }))
        .await;
    let away = presence(&mut watching, &bob).await;
    bob.post(&format!("/channels/{channel}/typing"), json!({}))
        .await;
    let typing_by_rest = watching.next("typing").await;
    let looked = alice.get(&format!("/presence?userIds={}", bob.id)).await;

    assert_eq!(absent["presence"]["state"], "PRESENCE_STATE_OFFLINE");
    assert_eq!(
        [&came, &away],
        ["PRESENCE_STATE_ONLINE", "PRESENCE_STATE_AWAY"]
    );
    for frame in [typing, typing_by_rest] {
        assert_eq!(frame["typing"]["userId"], bob.id.as_str());
        assert_eq!(frame["typing"]["channelId"], channel.as_str());
    }
    assert_eq!(looked["presence"][0]["state"], "PRESENCE_STATE_AWAY");
}

async fn presence(live: &mut Live, of: &Person) -> String {
    let frame = live
        .next_where("presence", |frame| {
            frame["presence"]["userId"] == of.id.as_str()
        })
        .await;
    string(&frame["presence"]["state"])
}

/// Who lost the connection comes back with what was seen and gets the rest: nothing missing, nothing twice.
pub async fn a_reader_who_lost_the_connection_catches_up(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let channel = alice.direct(&bob).await;
    let mut socket = bob.socket(json!({})).await;
    let mut events = bob.events("", None).await;
    let ready = socket.next("ready").await;
    events.next("ready").await;
    alice.say(&channel, "one").await;
    let seen = socket.next("message").await["rev"].clone();
    events.message("one").await;
    let last = events.last_event_id.clone().expect("an id to go on from");

    drop((socket, events));
    alice.say(&channel, "two").await;
    alice.say(&channel, "three").await;
    let wish = json!({ "seen": { channel.as_str(): seen }, "epoch": ready["ready"]["epoch"] });
    let mut back = [
        bob.socket(wish.clone()).await,
        bob.open(wish).await,
        bob.events("", Some(&last)).await,
    ];
    alice.say(&channel, "four").await;

    for live in &mut back {
        for text in ["two", "three", "four"] {
            let frame = live.next("message").await;
            assert_eq!(frame["message"]["text"], text);
        }
        assert!(live.passed().iter().all(|frame| frame["reset"].is_null()));
    }
}

/// The same call by REST, gRPC and grpc-web is the same: a repeated key gets the first message again, whoever carried it.
pub async fn a_call_is_the_same_by_rest_grpc_and_grpc_web(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let channel = alice.direct(&bob).await;
    let by_rest = alice.say(&channel, "once").await;
    let again = PostMessageRequest {
        channel_id: channel.clone(),
        text: "once".into(),
        key: "once".into(),
    };

    let client = MessageServiceClient::connect(format!("http://{}", hall.http())).await;
    let mut request = Request::new(again.clone());
    let bearer = format!("Bearer {}", alice.token)
        .parse()
        .expect("plain text");
    request.metadata_mut().insert("authorization", bearer);
    let by_grpc = client.expect("connects").post_message(request).await;
    let by_web: Result<PostMessageResponse, i32> = grpc_web::call(
        &alice,
        "guildhall.chat.v1.MessageService/PostMessage",
        &again,
    )
    .await;
    let list = ListMessagesRequest {
        channel_id: channel,
        ..ListMessagesRequest::default()
    };
    let all: Result<ListMessagesResponse, i32> =
        grpc_web::call(&bob, "guildhall.chat.v1.MessageService/ListMessages", &list).await;
    let malformed = ListMessagesRequest {
        channel_id: "general".into(),
        ..list
    };
    let refused: Result<ListMessagesResponse, i32> = grpc_web::call(
        &bob,
        "guildhall.chat.v1.MessageService/ListMessages",
        &malformed,
    )
    .await;

    let id = |message: Option<guildhall_proto::chat::v1::Message>| message.expect("a message").id;
    assert_eq!(
        id(by_grpc.expect("posted").into_inner().message),
        string(&by_rest["id"])
    );
    assert_eq!(id(by_web.expect("posted").message), string(&by_rest["id"]));
    assert_eq!(all.expect("listed").messages.len(), 1);
    assert_eq!(refused.expect_err("refused"), 3);
}

/// What is read stays read, on every device, and others see how far.
pub async fn a_read_mark_is_kept_and_seen(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let channel = alice.direct(&bob).await;
    let mut live = alice.socket(json!({})).await;
    live.next("ready").await;
    let message = alice.say(&channel, "read me").await;
    alice.say(&channel, "and me").await;

    let unread = bob.get("/channels").await["channels"][0]["unreadCount"].clone();
    let read = bob
        .put(
            &format!("/channels/{channel}/read"),
            json!({ "messageId": message["id"] }),
        )
        .await;
    let other_device = Person::login(hall, "bob").await;
    let there = other_device.get("/channels").await["channels"][0].clone();
    let moved = live
        .next_where("Bob's mark", |frame| {
            frame["readMoved"]["userId"] == bob.id.as_str()
        })
        .await;

    assert_eq!(unread, json!(2));
    assert_eq!(
        (&read["readSeq"], &read["unreadCount"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&there["readSeq"], &there["unreadCount"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(moved["readMoved"]["toSeq"], json!(1));
}

/// An app opens with one call, and a refused call says what is wrong, where, and how to ask about it.
pub async fn an_app_opens_in_one_trip_and_refusals_are_clear(hall: &impl Hall) {
    let alice = Person::register(hall, "alice").await;
    let bob = Person::register(hall, "bob").await;
    let channel = alice.direct(&bob).await;
    alice.say(&channel, "hello").await;

    let start = bob.post("/auth/start", json!({})).await;
    let bad = bob
        .try_call(
            Method::POST,
            &format!("/channels/{channel}/messages"),
            Some(json!({ "text": "", "key": "k" })),
        )
        .await;
    let (status, problem) = bad.expect_err("refused");

    assert_eq!(start["account"]["user"]["id"], bob.id.as_str());
    assert_eq!(start["channels"][0]["channel"]["id"], channel.as_str());
    assert_eq!(start["history"]["messages"][0]["text"], "hello");
    let named = start["users"].as_array().expect("a list").iter();
    assert!(
        named.clone().any(|user| user["id"] == alice.id.as_str()),
        "{start}"
    );
    assert_eq!(
        (status, &problem["reason"]),
        (400, &json!("REASON_BAD_FIELD"))
    );
    assert_eq!(problem["errors"][0]["field"], "text");
    assert!(!string(&problem["correlationId"]).is_empty());
}
