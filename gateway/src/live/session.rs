//! One stream from the inside: what its client says, what comes for it, and the work between. Wires drive it.

use std::{pin::Pin, sync::Arc, time::Duration};

use guildhall_kernel::ChannelId;
use guildhall_mesh::guard::Places as _;
use guildhall_proto::{
    live::v1::{self as pb, PresenceState, client_frame::Body},
    options::v1::Place,
};

use super::{
    desk::Taken,
    error::{Bye, LiveError},
    frame::Frame,
    hub::Hub,
    inbound::Heard,
    pace::Pace,
    places::ChannelPlaces,
    reader::{Pass, Reader},
    todo::{Asked, Job},
    wish::Wanted,
};

/// What came along with the request that opened a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    /// The access token.
    pub(crate) token: Option<Arc<str>>,
    /// Whether it came in a cookie.
    pub(crate) by_cookie: bool,
}

/// An open stream. Dropping it closes it.
pub(crate) struct Session {
    hub: Arc<Hub>,
    places: Arc<ChannelPlaces>,
    reader: Arc<Reader>,
    pace: Pace,
    work: Option<Work>,
}

struct Work {
    job: Job,
    doing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What goes out.
#[derive(Debug)]
pub(crate) enum Out {
    /// A frame, and the id of its event where it is worth one.
    Frame(Arc<Frame>, Option<String>),
    /// The last frame.
    Bye(Bye),
}

impl Session {
    /// Opens a stream for the owner of a token.
    pub(crate) async fn open(
        hub: &Arc<Hub>,
        places: &Arc<ChannelPlaces>,
        credentials: &Credentials,
        correlation: &Arc<str>,
    ) -> Result<Self, LiveError> {
        let token = credentials.token.as_deref().ok_or(LiveError::NoToken)?;
        let verified = hub.access.verify(token).await?;
        let reader = hub.enter(
            Pass::new(verified, credentials.by_cookie),
            correlation.clone(),
        )?;
        let session = Self {
            hub: hub.clone(),
            places: places.clone(),
            reader,
            pace: Pace::new(hub.settings.frames_per_second, hub.settings.burst_seconds),
            work: None,
        };
        // A session that ended before the stream was known here was not told to it.
        hub.access.session_lives(verified).await?;
        Ok(session)
    }

    /// Opens a stream by its first frame.
    pub(crate) async fn greet(
        hub: &Arc<Hub>,
        places: &Arc<ChannelPlaces>,
        mut credentials: Credentials,
        first: Heard,
        correlation: &Arc<str>,
    ) -> Result<Self, LiveError> {
        let first = first.map_err(|(_, error)| error)?;
        let Some(Body::Hello(hello)) = first.body else {
            return Err(LiveError::Order);
        };
        if !hello.access_token.is_empty() {
            credentials = Credentials {
                token: Some(hello.access_token.into()),
                by_cookie: false,
            };
        }
        let mut session = Self::open(hub, places, &credentials, correlation).await?;
        match hello.subscribe {
            Some(wish) => {
                let wanted = Wanted::of(&wish, session.reader.user);
                session.subscribe(first.id, wanted, false);
            }
            None => session.done(first.id),
        }
        Ok(session)
    }

    /// Keeps a trail, for who comes back by the id of an event.
    pub(crate) fn leave_trail(&self) {
        self.hub.leave_trail(&self.reader);
    }

    /// What goes out next; `None` after the last. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Out> {
        loop {
            match self.reader.take() {
                Taken::Frame(frame, event) => return Some(Out::Frame(frame, event)),
                Taken::Last(bye) => return Some(Out::Bye(bye)),
                Taken::Over => return None,
                Taken::Nothing => {}
            }
            self.begin_work();
            let Some(work) = &mut self.work else {
                self.reader.rung().await;
                continue;
            };
            tokio::select! {
                () = &mut work.doing => self.work = None,
                () = self.reader.rung() => {}
            }
        }
    }

    /// What goes out at once, if anything.
    pub(crate) fn next_now(&self) -> Option<Out> {
        match self.reader.take() {
            Taken::Frame(frame, event) => Some(Out::Frame(frame, event)),
            Taken::Last(bye) => Some(Out::Bye(bye)),
            Taken::Over | Taken::Nothing => None,
        }
    }

    /// Whether the client has to wait with its next frame: a wish is being put in force.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(
            &self.work,
            Some(Work {
                job: Job::Subscribe(_),
                ..
            })
        )
    }

    /// Takes a client frame.
    pub(crate) async fn hear(&mut self, heard: Result<Heard, LiveError>) {
        if !self.pace.allows(self.hub.clock.uptime()) {
            return self
                .reader
                .end(LiveError::TooFast, Some(Duration::from_secs(5)));
        }
        match heard {
            Err(error) => self.reader.end(error, None),
            Ok(Err((id, error))) => self.refuse(id, error),
            Ok(Ok(frame)) => self.obey(frame).await,
        }
    }

    /// Puts a wish in force.
    pub(crate) fn subscribe(&mut self, frame: u32, wanted: Wanted, or_end: bool) {
        let given_up = self.work.take();
        self.reader.at_desk(|desk| {
            if let Some(work) = given_up {
                desk.todo.again(work.job);
            }
            desk.todo.subscribe(Asked {
                frame,
                wanted,
                or_end,
            });
        });
        self.begin_work();
    }

    /// Ends the stream.
    pub(crate) fn end(&self, error: LiveError) {
        self.reader.end(error, None);
    }

    async fn obey(&mut self, frame: pb::ClientFrame) {
        let id = frame.id;
        let obeyed = match frame.body {
            Some(Body::Hello(hello)) => self.renew(id, hello).await,
            Some(Body::Subscribe(wish)) => {
                self.subscribe(id, Wanted::of(&wish, self.reader.user), false);
                return;
            }
            Some(Body::Typing(typing)) => self.typing(&typing.channel_id).await,
            Some(Body::Presence(presence)) => self.presence(presence.state()),
            None => Err(LiveError::Unreadable("it says nothing".into())),
        };
        match obeyed {
            Ok(true) => self.done(id),
            Ok(false) => {}
            Err(error) => self.refuse(id, error),
        }
    }

    /// A fresh token before the old one ends. `false`: answered later.
    async fn renew(&mut self, id: u32, hello: pb::Hello) -> Result<bool, LiveError> {
        if hello.access_token.is_empty() {
            return Err(LiveError::NoToken);
        }
        let verified = self.hub.access.verify(&hello.access_token).await?;
        if verified.user != self.reader.user {
            return Err(LiveError::OtherUser);
        }
        self.reader.renew(Pass::new(verified, false));
        self.hub.access.session_lives(verified).await?;
        let Some(wish) = hello.subscribe else {
            return Ok(true);
        };
        self.subscribe(id, Wanted::of(&wish, self.reader.user), false);
        Ok(false)
    }

    async fn typing(&mut self, channel: &str) -> Result<bool, LiveError> {
        let channel = ChannelId::parse(channel).map_err(|_| LiveError::NoChannel)?;
        if !self.reader.look(|desk| desk.reads(channel)) {
            let space = self
                .places
                .space_of(Place::Channel, &channel.to_string())
                .await?;
            let space = space.ok_or(LiveError::NoChannel)?;
            if !self
                .hub
                .circles
                .of(self.reader.user)
                .await?
                .contains(&space)
            {
                return Err(LiveError::NoChannel);
            }
        }
        self.hub.tell_typing(channel, self.reader.user);
        self.hub.whisper_typing(channel, self.reader.user).await;
        Ok(true)
    }

    fn presence(&self, state: PresenceState) -> Result<bool, LiveError> {
        let away = match state {
            PresenceState::Online => false,
            PresenceState::Away => true,
            PresenceState::Unspecified | PresenceState::Offline => {
                let fault =
                    guildhall_kernel::FieldFault::new("presence.state", "must be ONLINE or AWAY");
                return Err(LiveError::BadFields(vec![fault]));
            }
        };
        self.hub.set_away(&self.reader, away);
        Ok(true)
    }

    fn done(&self, id: u32) {
        if id != 0 {
            self.reader
                .at_desk(|desk| desk.answer(Frame::done(id, None)));
        }
    }

    fn refuse(&self, id: u32, error: LiveError) {
        let problem = error.into_problem(&self.reader.correlation);
        self.reader
            .at_desk(|desk| desk.answer(Frame::done(id, Some(problem))));
    }

    fn begin_work(&mut self) {
        if self.work.is_none()
            && let Some(job) = self.reader.next_job()
        {
            let doing = Box::pin(self.hub.clone().work(self.reader.clone(), job.clone()));
            self.work = Some(Work { job, doing });
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hub.leave(&self.reader);
    }
}
