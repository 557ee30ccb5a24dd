//! Rules that look at whose a thing is: each case of `rules.txt`, tried.

use std::collections::BTreeMap;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    door::{Signed, unique},
    who::Who,
    world::World,
};

const TEXT: &str = include_str!("rules.txt");
/// Cases whose answers must not differ in any word: a message that is elsewhere, and none.
const ALIKE: [(&str, &str); 2] = [
    (
        "a message of another channel is read through the own one",
        "a message that is not there is read through the own channel",
    ),
    (
        "a message of another channel is marked as read in the own one",
        "a message that is not there is marked as read in the own channel",
    ),
];

/// Tries all cases; returns what is not as the table says.
pub(crate) async fn judge(world: &World) -> anyhow::Result<Vec<String>> {
    let mut expected = expected()?;
    let mut wrong = Vec::new();
    let mut cases = Cases {
        world,
        found: Vec::new(),
    };
    cases.messages().await?;
    cases.people().await?;
    cases.direct().await?;
    cases.crossed().await?;
    for (one, two) in ALIKE {
        let (one, two) = (cases.words(one), cases.words(two));
        if one.is_none() || one != two {
            wrong.push(format!("not theirs and absent differ: {one:?} and {two:?}"));
        }
    }
    for (case, status, answer) in cases.found {
        match expected.remove(case) {
            Some(wanted) if wanted == status => {}
            Some(wanted) => wrong.push(format!("{case}: expected {wanted}, got {status} {answer}")),
            None => wrong.push(format!("rules.txt has no line for: {case}")),
        }
    }
    wrong.extend(
        expected
            .into_keys()
            .map(|case| format!("rules.txt has a line that nothing tries: {case}")),
    );
    Ok(wrong)
}

fn expected() -> anyhow::Result<BTreeMap<String, u16>> {
    let lines = TEXT
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (case, status) = line.rsplit_once(' ').context("a case and a status")?;
            Ok((case.trim().to_owned(), status.parse()?))
        })
        .collect()
}

struct Cases<'w> {
    world: &'w World,
    found: Vec<(&'static str, u16, Value)>,
}

impl Cases<'_> {
    /// What a case was answered with, but for the name of the call.
    fn words(&self, case: &str) -> Option<Value> {
        let (_, _, answer) = self.found.iter().find(|(found, ..)| *found == case)?;
        let mut answer = answer.clone();
        answer.as_object_mut()?.remove("correlationId");
        Some(answer)
    }

    async fn messages(&mut self) -> anyhow::Result<()> {
        let (world, door) = (self.world, self.world.door());
        let channel = world.ours.channel.clone();
        let [guest, member, moderator, owner] =
            [Who::Guest, Who::Member, Who::Moderator, Who::Owner].map(|who| world.person(who));
        let path = |id: &str| format!("/channels/{channel}/messages/{id}");
        let new = json!({"text": "changed"});

        let one = path(&door.post(guest, &channel).await?);
        self.edit("the author edits their own message", &one, guest, &new)
            .await?;
        self.edit(
            "a moderator edits somebody else's message",
            &one,
            moderator,
            &new,
        )
        .await?;
        self.edit("an owner edits somebody else's message", &one, owner, &new)
            .await?;
        self.delete("a member deletes somebody else's message", &one, member)
            .await?;
        let two = path(&door.post(member, &channel).await?);
        self.delete("a guest deletes somebody else's message", &two, guest)
            .await?;
        self.delete(
            "a moderator deletes somebody else's message",
            &one,
            moderator,
        )
        .await?;
        self.delete("whoever deletes it again", &one, guest).await?;
        self.edit("somebody edits a deleted message", &one, guest, &new)
            .await
    }

    async fn people(&mut self) -> anyhow::Result<()> {
        let (world, door) = (self.world, self.world.door());
        let [guest, member, moderator, owner] =
            [Who::Guest, Who::Member, Who::Moderator, Who::Owner].map(|who| world.person(who));
        let space = door.furnish(owner, owner).await?.space;
        for (person, role) in [
            (guest, "GUEST"),
            (member, "MODERATOR"),
            (moderator, "MODERATOR"),
        ] {
            door.add(owner, &space, &person.id, role).await?;
        }
        let path = |id: &str| format!("/spaces/{space}/members/{id}");
        let role = |role: &str| json!({"role": format!("SPACE_ROLE_{role}")});
        let (a_moderator, an_owner) = (role("MODERATOR"), role("OWNER"));
        self.edit(
            "a moderator makes somebody a moderator",
            &path(&guest.id),
            moderator,
            &a_moderator,
        )
        .await?;
        self.edit(
            "a moderator changes another moderator",
            &path(&member.id),
            moderator,
            &role("GUEST"),
        )
        .await?;
        self.edit(
            "a moderator changes an owner",
            &path(&owner.id),
            moderator,
            &role("GUEST"),
        )
        .await?;
        self.delete("a moderator removes an owner", &path(&owner.id), moderator)
            .await?;
        self.edit(
            "a moderator makes themselves an owner",
            &path("me"),
            moderator,
            &an_owner,
        )
        .await?;
        self.delete("the last owner leaves", &path("me"), owner)
            .await?;
        self.edit(
            "the last owner steps down",
            &path("me"),
            owner,
            &a_moderator,
        )
        .await?;
        self.edit(
            "an owner makes somebody an owner",
            &path(&member.id),
            owner,
            &an_owner,
        )
        .await?;
        self.edit(
            "an owner changes an owner",
            &path(&member.id),
            owner,
            &a_moderator,
        )
        .await?;
        self.delete("a guest leaves", &path("me"), guest).await?;
        self.delete("a guest who left leaves again", &path("me"), guest)
            .await
    }

    async fn direct(&mut self) -> anyhow::Result<()> {
        let (world, door) = (self.world, self.world.door());
        let [guest, member, owner] =
            [Who::Guest, Who::Member, Who::Owner].map(|who| world.person(who));
        let body = json!({"userIds": [member.id]});
        let answer = door
            .done(Method::POST, "/channels/direct", &guest.token, Some(&body))
            .await?;
        let space = answer
            .pointer("/channel/spaceId")
            .and_then(Value::as_str)
            .context("a space")?;

        let team = json!({"kind": "SPACE_KIND_DIRECT", "name": "two", "key": unique()});
        self.post("a client makes a direct space", "/spaces", guest, &team)
            .await?;
        let third = json!({"userId": owner.id, "role": "SPACE_ROLE_MEMBER"});
        let path = format!("/spaces/{space}");
        self.post(
            "somebody adds a person to a direct space",
            &format!("{path}/members"),
            guest,
            &third,
        )
        .await?;
        self.delete(
            "somebody leaves a direct space",
            &format!("{path}/members/me"),
            guest,
        )
        .await?;
        self.edit(
            "somebody renames a direct space",
            &path,
            guest,
            &json!({"name": "three"}),
        )
        .await?;
        self.delete("somebody deletes a direct space", &path, guest)
            .await?;
        let channel = json!({"name": unique(), "key": unique()});
        self.post(
            "somebody makes a channel in a direct space",
            &format!("{path}/channels"),
            guest,
            &channel,
        )
        .await
    }

    /// The channel is the caller's, the message is not in it.
    async fn crossed(&mut self) -> anyhow::Result<()> {
        let world = self.world;
        let owner = world.person(Who::Owner);
        let channel = format!("/channels/{}", world.ours.channel);
        let theirs = format!("{channel}/messages/{}", world.theirs.message);
        let absent = format!("{channel}/messages/{}", world.absent.message);
        self.get(
            "a message of another channel is read through the own one",
            &theirs,
            owner,
        )
        .await?;
        self.get(
            "a message that is not there is read through the own channel",
            &absent,
            owner,
        )
        .await?;
        self.edit(
            "a message of another channel is edited through the own one",
            &theirs,
            owner,
            &json!({"text": "mine now"}),
        )
        .await?;
        self.delete(
            "a message of another channel is deleted through the own one",
            &theirs,
            owner,
        )
        .await?;
        self.make(
            "a message of another channel is marked as read in the own one",
            Method::PUT,
            &format!("{channel}/read"),
            owner,
            Some(&json!({"messageId": world.theirs.message})),
        )
        .await?;
        self.make(
            "a message that is not there is marked as read in the own channel",
            Method::PUT,
            &format!("{channel}/read"),
            owner,
            Some(&json!({"messageId": world.absent.message})),
        )
        .await
    }

    async fn get(&mut self, case: &'static str, path: &str, by: &Signed) -> anyhow::Result<()> {
        self.make(case, Method::GET, path, by, None).await
    }

    async fn delete(&mut self, case: &'static str, path: &str, by: &Signed) -> anyhow::Result<()> {
        self.make(case, Method::DELETE, path, by, None).await
    }

    async fn edit(
        &mut self,
        case: &'static str,
        path: &str,
        by: &Signed,
        body: &Value,
    ) -> anyhow::Result<()> {
        self.make(case, Method::PATCH, path, by, Some(body)).await
    }

    async fn post(
        &mut self,
        case: &'static str,
        path: &str,
        by: &Signed,
        body: &Value,
    ) -> anyhow::Result<()> {
        self.make(case, Method::POST, path, by, Some(body)).await
    }

    async fn make(
        &mut self,
        case: &'static str,
        method: Method,
        path: &str,
        by: &Signed,
        body: Option<&Value>,
    ) -> anyhow::Result<()> {
        let door = self.world.door();
        let (status, answer) = door.call(method, path, &by.token, body).await?;
        self.found.push((case, status.as_u16(), answer));
        Ok(())
    }
}
