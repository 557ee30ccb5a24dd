//! The stories, told to halls of several processes on PostgreSQL, Cassandra and NATS.

use crate::{
    stories,
    support::cluster::{Shape, Shared},
};

/// One process for each service.
const THREE: Shape = &["auth", "chat", "gateway"];
/// Two of each; who comes is sent to one gateway after the other, so two people are on different ones.
const TWO_OF_EACH: Shape = &["auth", "auth", "chat", "chat", "gateway", "gateway"];
/// Two processes that are everything, and call each other for nothing.
const TWINS: Shape = &["all", "all"];

macro_rules! told {
    ($shape:expr, $name:ident: $($story:ident,)*) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test]
                async fn $story() {
                    let Some(shared) = Shared::new().await else {
                        return;
                    };
                    let hall = shared.hall($shape).await;
                    stories::$story(&hall).await;
                    drop(hall);
                    shared.remove().await;
                }
            )*
        }
    };
}

told! { TWO_OF_EACH, two_of_each:
    two_people_meet_and_talk,
    a_team_has_its_channels_and_its_people,
    what_one_says_the_others_see_live_on_every_wire,
    a_stream_follows_what_its_reader_may_read,
    typing_and_presence_are_seen,
    a_reader_who_lost_the_connection_catches_up,
    a_call_is_the_same_by_rest_grpc_and_grpc_web,
    a_read_mark_is_kept_and_seen,
    an_app_opens_in_one_trip_and_refusals_are_clear,
}

told! { THREE, three:
    what_one_says_the_others_see_live_on_every_wire,
    a_team_has_its_channels_and_its_people,
}

told! { TWINS, twins:
    what_one_says_the_others_see_live_on_every_wire,
}
