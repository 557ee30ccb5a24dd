//! Compares what is answered with what is expected.

use anyhow::Context as _;
use bytes::Bytes;
use prost_reflect::MethodDescriptor;
use reqwest::Method;
use serde_json::json;

use super::{
    answer::Answer,
    caller::Caller,
    door::{PASSWORD, Target, unique},
    name,
    request::{self, NEXT_PASSWORD},
    table::{Cell, Row},
    who::Who,
    wires::Wire,
    world::World,
};

/// A walk over the table.
pub(crate) struct Run<'w> {
    world: &'w World,
    caller: Caller,
    /// Everything that is not as expected.
    pub(crate) wrong: Vec<String>,
    /// How many calls were made.
    pub(crate) calls: usize,
}

impl<'w> Run<'w> {
    pub(crate) async fn on(world: &'w World) -> anyhow::Result<Self> {
        Ok(Self {
            caller: Caller::to(&world.address, &world.http).await?,
            world,
            wrong: Vec::new(),
            calls: 0,
        })
    }

    /// Makes every call of a row that must not do anything.
    pub(crate) async fn denied(
        &mut self,
        rpc: &MethodDescriptor,
        row: &Row,
        wire: &Wire,
    ) -> anyhow::Result<()> {
        let Row::Public { theirs, absent, .. } = row else {
            return Ok(());
        };
        let world = self.world;
        for who in Who::ALL {
            let expected = row.ours(who);
            if expected.is_ok() {
                continue;
            }
            let ours = self.ask(rpc, wire, who, &world.ours).await?;
            self.expect(rpc, wire, who, "ours", expected, &ours);
            if matches!(expected, Cell::Refused(404) | Cell::Gone) {
                let nothing = self.ask(rpc, wire, who, &world.absent).await?;
                self.alike(rpc, wire, who, &ours, &nothing);
            }
        }
        for who in Who::SIGNED_IN {
            let mut answers = Vec::new();
            for (what, expected, target) in [
                ("theirs", *theirs, &world.theirs),
                ("absent", *absent, &world.absent),
            ] {
                if matches!(expected, Cell::Refused(_) | Cell::Gone) {
                    let answer = self.ask(rpc, wire, who, target).await?;
                    self.expect(rpc, wire, who, what, expected, &answer);
                    answers.push(answer);
                }
            }
            if let [theirs, absent] = &answers[..] {
                self.alike(rpc, wire, who, theirs, absent);
            }
        }
        Ok(())
    }

    /// Makes every call of a row that has to be answered, each with things of its own.
    pub(crate) async fn allowed(
        &mut self,
        rpc: &MethodDescriptor,
        row: &Row,
        wire: &Wire,
    ) -> anyhow::Result<()> {
        let Row::Public { theirs, absent, .. } = row else {
            return Ok(());
        };
        let world = self.world;
        for who in Who::ALL {
            if !row.ours(who).is_ok() {
                continue;
            }
            let target = self.expendable(rpc, who).await?;
            let answer = self.ask(rpc, wire, who, &target).await?;
            self.expect(rpc, wire, who, "ours", Cell::Ok, &answer);
            if matches!(who, Who::Anonymous | Who::Stranger | Who::Former) {
                self.silent(rpc, wire, who, &answer, &world.ours);
            }
            if rpc.name() == "ChangePassword" {
                self.password_back(who).await?;
            }
        }
        for who in Who::SIGNED_IN {
            for (what, expected, target) in [
                ("theirs", *theirs, &world.theirs),
                ("absent", *absent, &world.absent),
            ] {
                if expected.is_ok() {
                    let answer = self.ask(rpc, wire, who, target).await?;
                    self.expect(rpc, wire, who, what, expected, &answer);
                    self.silent(rpc, wire, who, &answer, &world.theirs);
                }
            }
        }
        Ok(())
    }

    /// An rpc for other services answers as one that is not there, on every wire of the public port.
    pub(crate) async fn internal(&mut self, rpc: &MethodDescriptor) -> anyhow::Result<()> {
        let http = guildhall_proto::pool()
            .get_extension_by_name("google.api.http")
            .context("no google.api.http")?;
        let name = name(rpc);
        if rpc.options().has_extension(&http) {
            self.wrong
                .push(format!("{name}: an internal rpc has an http rule"));
        }
        let service = rpc.parent_service().full_name().to_owned();
        let known = "guildhall.chat.v1.MessageService";
        for (asked, shown, is_there) in [
            (known, "PostMessage", true),
            (&service, rpc.name(), false),
            ("", known, true),
            ("", &service, false),
        ] {
            let said = self.caller.reflected(asked).await?;
            let found = said
                .windows(shown.len())
                .any(|part| part == shown.as_bytes());
            self.calls += 1;
            if found != is_there {
                self.wrong.push(format!(
                    "{name}: asked for `{asked}`, reflection names {shown}: {found}"
                ));
            }
        }
        let request = prost_reflect::DynamicMessage::new(rpc.input());
        for who in [Who::Anonymous, Who::Stranger, Who::Owner] {
            let token = self.world.token(who);
            let missing = "/guildhall.chat.v1.FeedService/NeverThere";
            let found = self
                .caller
                .grpc(&format!("/{name}"), Bytes::new(), token)
                .await?;
            let nothing = self.caller.grpc(missing, Bytes::new(), token).await?;
            let words = |answer: &Result<Bytes, tonic::Status>| match answer {
                Ok(_) => "answered".to_owned(),
                Err(status) => format!("{:?} {}", status.code(), status.message()),
            };
            self.calls += 3;
            if found.is_ok() || words(&found) != words(&nothing) {
                self.wrong.push(format!(
                    "{name} grpc {who:?}: {} where an unknown rpc gets {}",
                    words(&found),
                    words(&nothing)
                ));
            }
            let web = self
                .caller
                .call(&Wire::GrpcWeb, rpc, &request, token)
                .await?;
            if web.status != 501 {
                self.wrong.push(format!("{name} grpc-web {who:?}: {web:?}"));
            }
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        rpc: &MethodDescriptor,
        wire: &Wire,
        who: Who,
        target: &Target,
    ) -> anyhow::Result<Answer> {
        self.calls += 1;
        let request = request::build(&rpc.input(), target)?;
        let token = self.world.token(who);
        let answer = self.caller.call(wire, rpc, &request, token).await;
        answer.with_context(|| format!("{} {wire:?} {who:?}", name(rpc)))
    }

    fn expect(
        &mut self,
        rpc: &MethodDescriptor,
        wire: &Wire,
        who: Who,
        what: &str,
        expected: Cell,
        answer: &Answer,
    ) {
        let is_right = match expected {
            Cell::Ok => answer.status == 200 && !answer.gone,
            Cell::Refused(status) => answer.status == status,
            Cell::Gone => answer.status == 200 && answer.gone,
            Cell::None => true,
        };
        if !is_right {
            self.wrong.push(format!(
                "{} {wire:?} {who:?} {what}: expected {expected:?}, got {answer:?}",
                name(rpc)
            ));
        }
    }

    /// An answer must not name a place that the caller is not in, or anything in it.
    fn silent(
        &mut self,
        rpc: &MethodDescriptor,
        wire: &Wire,
        who: Who,
        answer: &Answer,
        place: &Target,
    ) {
        let named = [&place.space, &place.channel, &place.message, &place.session];
        if named.into_iter().any(|id| answer.names(id)) {
            self.wrong.push(format!(
                "{} {wire:?} {who:?}: the answer names what is not theirs: {answer:?}",
                name(rpc)
            ));
        }
    }

    /// What is not the caller's and what is not there must not differ in any word.
    fn alike(&mut self, rpc: &MethodDescriptor, wire: &Wire, who: Who, one: &Answer, two: &Answer) {
        if one != two {
            self.wrong.push(format!(
                "{} {wire:?} {who:?}: not theirs and absent differ: {one:?} {two:?}",
                name(rpc)
            ));
        }
    }

    /// Something that this call may use up.
    async fn expendable(&self, rpc: &MethodDescriptor, who: Who) -> anyhow::Result<Target> {
        let world = self.world;
        let door = world.door();
        let (owner, person) = (world.person(Who::Owner), world.person(who));
        let mut target = world.ours.clone();
        match rpc.name() {
            "EditMessage" | "DeleteMessage" => {
                target.message = door.post(person, &target.channel).await?;
            }
            "UpdateChannel" | "DeleteChannel" => {
                target.channel = door.channel(owner, &target.space).await?;
            }
            "UpdateSpace" | "DeleteSpace" => {
                let body =
                    json!({"kind": "SPACE_KIND_TEAM", "name": "to be used up", "key": unique()});
                target.space = door.make(owner, "/spaces", &body, "/space/id").await?;
                if who != Who::Owner {
                    door.add(owner, &target.space, &person.id, "MODERATOR")
                        .await?;
                }
            }
            "AddMember" => {
                target.user = world.extra.id.clone();
                let path = format!("/spaces/{}/members/{}", target.space, target.user);
                // Whether they were in or not, now they are not.
                door.call(Method::DELETE, &path, &owner.token, None).await?;
            }
            "RemoveMember" | "UpdateMember" => {
                target.user = world.extra.id.clone();
                let path = format!("/spaces/{}/members/{}", target.space, target.user);
                // Whether they were in or not, now they are not.
                door.call(Method::DELETE, &path, &owner.token, None).await?;
                door.add(owner, &target.space, &target.user, "GUEST")
                    .await?;
            }
            "EndSession" => target.session = door.login(&person.name).await?.session,
            "Refresh" | "Logout" => {
                target.refresh = door.login(&world.extra.name).await?.refresh;
            }
            _ => {}
        }
        Ok(target)
    }

    async fn password_back(&self, who: Who) -> anyhow::Result<()> {
        let body = json!({"currentPassword": NEXT_PASSWORD, "newPassword": PASSWORD});
        let token = &self.world.person(who).token;
        let door = self.world.door();
        door.done(Method::PUT, "/auth/password", token, Some(&body))
            .await?;
        Ok(())
    }
}
