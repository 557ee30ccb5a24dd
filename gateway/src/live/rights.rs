//! Who may read what, kept true while streams are open.

use std::sync::Arc;

use guildhall_kernel::{SessionId, SpaceId, UserId};
use guildhall_mesh::access::Watched;
use guildhall_proto::auth::v1::{MemberChanged, SpaceRole, access_change::What};
use tokio::sync::broadcast::error::RecvError;

use super::{desk::Desk, error::LiveError, frame::Frame, hub::Hub, reader::Reader, tally::Tally};

impl Hub {
    /// Applies every change of rights until the process stops.
    pub(crate) async fn keep_rights(self: Arc<Self>) {
        let mut changes = self.access.watch();
        loop {
            let heard = tokio::select! {
                () = self.tasks.stopping() => return,
                heard = changes.recv() => heard,
            };
            match heard {
                Ok(Watched::Change(change)) => match &change.what {
                    Some(What::MemberChanged(changed)) => self.member_changed(changed),
                    Some(What::SpaceDeleted(gone)) => {
                        if let Ok(space) = SpaceId::parse(&gone.space_id) {
                            self.space_deleted(space);
                        }
                    }
                    Some(What::SessionEnded(ended)) => {
                        let ids = (
                            UserId::parse(&ended.user_id),
                            SessionId::parse(&ended.session_id),
                        );
                        if let (Ok(user), Ok(session)) = ids {
                            self.session_ended(user, session);
                        }
                    }
                    None => {}
                },
                Ok(Watched::Everything) | Err(RecvError::Lagged(_)) => self.anything_changed(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Whatever is read is looked at anew; the new heads repair what was missed.
    pub(crate) fn anything_changed(&self) {
        self.circles.clear();
        for reader in self.everybody() {
            reader.at_desk(|desk| {
                desk.rights_changed();
                desk.look_at_all();
                desk.todo.renew();
            });
        }
    }

    fn member_changed(&self, changed: &MemberChanged) {
        let user = changed
            .user
            .as_ref()
            .and_then(|user| UserId::parse(&user.id).ok());
        let (Some(user), Ok(space)) = (user, SpaceId::parse(&changed.space_id)) else {
            return;
        };
        let left = changed.role() == SpaceRole::Unspecified;
        self.circles.changed(user);

        let own = self.streams_of(user);
        for reader in &own {
            if left {
                self.lose(reader, space);
            }
            reader.at_desk(|desk| {
                if !left {
                    desk.todo.look_into(space);
                }
                desk.look_at_all();
            });
        }
        for reader in self.watchers(user) {
            reader.at_desk(|desk| desk.look_at(user));
        }
        self.tell_member(&own, space, changed);
    }

    /// Tells the readers of a space, and the person itself, who is not one of them any more or not yet.
    fn tell_member(&self, own: &[Arc<Reader>], space: SpaceId, changed: &MemberChanged) {
        let frame = Frame::member(changed.clone());
        let mut readers = self.hearers(space);
        for reader in own {
            let covered = reader.look(|desk| desk.wish().covers(space));
            if covered && !readers.iter().any(|other| other.number == reader.number) {
                readers.push(reader.clone());
            }
        }
        self.tell_all(&readers, &frame);
    }

    fn space_deleted(&self, space: SpaceId) {
        self.circles.gone(space);
        for reader in self.hearers(space) {
            self.lose(&reader, space);
            reader.at_desk(Desk::look_at_all);
        }
    }

    fn session_ended(&self, user: UserId, session: SessionId) {
        for reader in self.streams_of(user) {
            if reader.session() == session {
                reader.end(LiveError::SessionEnded, None);
            }
        }
    }

    /// Queues a frame for each of these readers.
    pub(crate) fn tell_all(&self, readers: &[Arc<Reader>], frame: &Arc<Frame>) {
        if !self.is_open() {
            return;
        }
        let mut tally = Tally::default();
        for reader in readers {
            reader.offer(&mut tally, |desk, tally| desk.push(frame, tally));
        }
        tally.count();
    }
}
