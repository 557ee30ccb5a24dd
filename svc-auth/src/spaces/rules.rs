//! Who may do what to whom in a space, as far as it hangs on whom and on which role. The least role for a call stands in its proto and
//! was judged before. Pure: what is stored is asked before, in the same transaction.

use guildhall_kernel::Role;

use crate::{AuthError, model::SpaceKind};

/// Only teams have names that change.
pub(super) fn may_rename(kind: SpaceKind) -> Result<(), AuthError> {
    team(kind)
}

/// Only owners end a team; direct conversations do not end.
pub(super) fn may_delete(kind: SpaceKind, own: Role) -> Result<(), AuthError> {
    team(kind)?;
    at_least(Role::Owner, own)
}

/// Who may bring people in gives a role below their own, owners any.
pub(super) fn may_add(kind: SpaceKind, own: Role, new: Role) -> Result<(), AuthError> {
    team(kind)?;
    below(own, new)
}

/// Moderators act on roles below their own, before and after; owners on all. Only an owner acts on an owner.
pub(super) fn may_change(
    kind: SpaceKind,
    own: Role,
    old: Role,
    new: Role,
) -> Result<(), AuthError> {
    team(kind)?;
    at_least(Role::Moderator, own)?;
    below(own, old)?;
    below(own, new)
}

/// Anyone may step down, but the last owner; nobody raises themselves.
pub(super) fn may_step(
    kind: SpaceKind,
    own: Role,
    new: Role,
    owners: u64,
) -> Result<(), AuthError> {
    team(kind)?;
    if new > own {
        return Err(AuthError::RoleTooLow);
    }
    if new < own {
        leaves_an_owner(own, owners)
    } else {
        Ok(())
    }
}

/// Moderators send away who is below them, owners anybody.
pub(super) fn may_remove(kind: SpaceKind, own: Role, old: Role) -> Result<(), AuthError> {
    team(kind)?;
    at_least(Role::Moderator, own)?;
    below(own, old)
}

/// Anyone may leave a team, but the last owner.
pub(super) fn may_leave(kind: SpaceKind, own: Role, owners: u64) -> Result<(), AuthError> {
    team(kind)?;
    leaves_an_owner(own, owners)
}

fn team(kind: SpaceKind) -> Result<(), AuthError> {
    match kind {
        SpaceKind::Team => Ok(()),
        SpaceKind::Direct => Err(AuthError::DirectIsFixed),
    }
}

fn at_least(needed: Role, own: Role) -> Result<(), AuthError> {
    if own >= needed {
        Ok(())
    } else {
        Err(AuthError::RoleTooLow)
    }
}

fn below(own: Role, other: Role) -> Result<(), AuthError> {
    if own == Role::Owner || other < own {
        Ok(())
    } else {
        Err(AuthError::RoleTooLow)
    }
}

fn leaves_an_owner(own: Role, owners: u64) -> Result<(), AuthError> {
    if own == Role::Owner && owners <= 1 {
        Err(AuthError::LastOwner)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use Role::{Guest, Member, Moderator, Owner};

    use super::*;

    const ALL: [Role; 4] = [Guest, Member, Moderator, Owner];

    #[test]
    fn moderators_act_below_themselves_and_owners_on_all() {
        for own in ALL {
            for old in ALL {
                let may = own == Owner || (own == Moderator && old < Moderator);
                assert_eq!(
                    may_remove(SpaceKind::Team, own, old).is_ok(),
                    may,
                    "{own:?} {old:?}"
                );
                assert_eq!(
                    may_add(SpaceKind::Team, own, old).is_ok(),
                    own == Owner || old < own,
                    "{own:?} {old:?}"
                );
                for new in ALL {
                    let may =
                        own == Owner || (own == Moderator && old < Moderator && new < Moderator);
                    let found = may_change(SpaceKind::Team, own, old, new);
                    assert_eq!(found.is_ok(), may, "{own:?} {old:?} {new:?}");
                }
            }
        }
    }

    #[test]
    fn one_steps_down_but_never_up_and_the_last_owner_stays() {
        for own in ALL {
            for new in ALL {
                assert_eq!(
                    may_step(SpaceKind::Team, own, new, 2).is_ok(),
                    new <= own,
                    "{own:?} {new:?}"
                );
            }
        }
        assert!(matches!(
            may_step(SpaceKind::Team, Owner, Member, 1),
            Err(AuthError::LastOwner)
        ));
        assert!(may_step(SpaceKind::Team, Owner, Owner, 1).is_ok());
        assert!(matches!(
            may_leave(SpaceKind::Team, Owner, 1),
            Err(AuthError::LastOwner)
        ));
        assert!(
            may_leave(SpaceKind::Team, Owner, 2).is_ok()
                && may_leave(SpaceKind::Team, Guest, 1).is_ok()
        );
    }

    #[test]
    fn a_team_has_another_name_at_any_time_and_its_end_from_an_owner() {
        assert!(may_rename(SpaceKind::Team).is_ok());
        for own in ALL {
            assert_eq!(may_delete(SpaceKind::Team, own).is_ok(), own == Owner);
        }
    }

    #[test]
    fn a_direct_conversation_keeps_its_people() {
        let refusals = [
            may_rename(SpaceKind::Direct),
            may_delete(SpaceKind::Direct, Owner),
            may_add(SpaceKind::Direct, Owner, Guest),
            may_change(SpaceKind::Direct, Owner, Guest, Member),
            may_step(SpaceKind::Direct, Member, Guest, 0),
            may_remove(SpaceKind::Direct, Owner, Guest),
            may_leave(SpaceKind::Direct, Member, 0),
        ];

        assert!(
            refusals
                .iter()
                .all(|refused| matches!(refused, Err(AuthError::DirectIsFixed)))
        );
    }
}
