//! The people and places that the matrix is about.

use guildhall_mesh::token::{AUDIENCE, Claims, ISSUER};
use guildhall_testkit::Signer;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{
    door::{Door, Signed, Target},
    who::Who,
};
use crate::server::Server;

/// A hall with people in it.
pub(crate) struct World {
    pub(crate) address: String,
    pub(crate) http: Client,
    people: Vec<Signed>,
    /// Owns a space that nobody else is in.
    pub(crate) foreigner: Signed,
    /// A guest who is acted on and never acts.
    pub(crate) bystander: Signed,
    /// Somebody for calls that do something to a person.
    pub(crate) extra: Signed,
    signed_out: String,
    expired: String,
    pub(crate) ours: Target,
    pub(crate) theirs: Target,
    pub(crate) absent: Target,
}

impl World {
    /// Fills a running hall.
    pub(crate) async fn on(server: &Server) -> anyhow::Result<Self> {
        // Another test may have been first.
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let address = server.doors().get(0);
        let http = Client::builder()
            .timeout(std::time::Duration::from_secs(20))
            .build()?;
        let door = Door {
            address: &address,
            http: &http,
        };
        let mut people = Vec::new();
        for name in [
            "stranger",
            "guest",
            "member",
            "moderator",
            "owner",
            "former",
        ] {
            people.push(door.register(name).await?);
        }
        let [_, guest, member, moderator, owner, former] = &people[..] else {
            anyhow::bail!("six people");
        };
        let foreigner = door.register("foreigner").await?;
        let bystander = door.register("bystander").await?;
        let extra = door.register("extra").await?;

        let ours = door.furnish(owner, &bystander).await?;
        let theirs = door.furnish(&foreigner, &foreigner).await?;
        let roles = [
            (guest, "GUEST"),
            (member, "MEMBER"),
            (moderator, "MODERATOR"),
            (former, "MEMBER"),
            (&bystander, "GUEST"),
        ];
        for (person, role) in roles {
            door.add(owner, &ours.space, &person.id, role).await?;
        }
        let gone = format!("/spaces/{}/members/{}", ours.space, former.id);
        door.done(Method::DELETE, &gone, &owner.token, None).await?;

        let out = door.login("owner").await?;
        let body = json!({"refreshToken": out.refresh});
        door.done(Method::POST, "/auth/logout", &out.token, Some(&body))
            .await?;
        let expired = expired(server, owner)?;
        let absent = Target {
            space: "0190b0a0-0000-7000-8000-00000000dead".into(),
            channel: "0190b0a0-0000-7000-8000-00000000beef".into(),
            message: "AAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
            user: "0190b0a0-0000-7000-8000-00000000cafe".into(),
            session: "0190b0a0-0000-7000-8000-00000000f00d".into(),
            login: extra.name.clone(),
            refresh: String::new(),
        };
        Ok(Self {
            signed_out: out.token,
            expired,
            ours,
            theirs,
            absent,
            people,
            foreigner,
            bystander,
            extra,
            address,
            http,
        })
    }

    /// The token that somebody comes with.
    pub(crate) fn token(&self, who: Who) -> Option<&str> {
        match who {
            Who::Anonymous => None,
            Who::SignedOut => Some(&self.signed_out),
            Who::Expired => Some(&self.expired),
            Who::Stranger
            | Who::Guest
            | Who::Member
            | Who::Moderator
            | Who::Owner
            | Who::Former => Some(&self.person(who).token),
        }
    }

    /// Somebody with an account.
    pub(crate) fn person(&self, who: Who) -> &Signed {
        match who {
            Who::Stranger | Who::Anonymous => &self.people[0],
            Who::Guest => &self.people[1],
            Who::Member => &self.people[2],
            Who::Moderator => &self.people[3],
            Who::Owner | Who::SignedOut | Who::Expired => &self.people[4],
            Who::Former => &self.people[5],
        }
    }

    /// Calls as REST clients do.
    pub(crate) fn door(&self) -> Door<'_> {
        Door {
            address: &self.address,
            http: &self.http,
        }
    }

    /// What is there, as those see it whose it is.
    pub(crate) async fn snapshot(&self) -> anyhow::Result<Value> {
        let mut all = Vec::new();
        for (person, target) in [
            (self.person(Who::Owner), &self.ours),
            (&self.foreigner, &self.theirs),
        ] {
            let (space, channel) = (&target.space, &target.channel);
            for path in [
                "/spaces".to_owned(),
                "/channels".to_owned(),
                format!("/spaces/{space}"),
                format!("/spaces/{space}/members?pageSize=100"),
                format!("/spaces/{space}/channels?pageSize=100"),
                format!("/channels/{channel}"),
                format!("/channels/{channel}/messages?limit=100"),
                format!("/channels/{channel}/changes?limit=100"),
                format!("/channels/{channel}/reads?pageSize=100"),
            ] {
                let seen = self
                    .door()
                    .done(Method::GET, &path, &person.token, None)
                    .await?;
                all.push(json!({ path: seen }));
            }
        }
        let everybody = self
            .people
            .iter()
            .chain([&self.foreigner, &self.bystander, &self.extra]);
        for person in everybody {
            let door = self.door();
            let me = door
                .done(Method::GET, "/auth/me", &person.token, None)
                .await?;
            let sessions = door
                .done(
                    Method::GET,
                    "/auth/sessions?pageSize=100",
                    &person.token,
                    None,
                )
                .await?;
            let sessions: Vec<_> = sessions["sessions"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|session| session["id"].clone())
                .collect();
            all.push(json!({"me": me, "sessions": sessions.len()}));
        }
        Ok(all.into())
    }
}

/// A token that the hall itself could have signed an hour ago: with the key from its folder.
fn expired(server: &Server, person: &Signed) -> anyhow::Result<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(server.data().join("auth.db"), flags)?;
    let newest = "SELECT id, seed FROM signing_key ORDER BY created_at DESC, id DESC LIMIT 1";
    let (id, seed): (String, [u8; 32]) =
        database.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let now = i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)?
            .as_secs(),
    )?;
    Ok(Signer::with(&id, &seed).sign(&Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: person.id.clone(),
        sid: person.session.clone(),
        jti: person.session.clone(),
        iat: now - 3_600,
        nbf: now - 3_600,
        exp: now - 60,
    }))
}
