//! What the services of a process say of themselves, for `/readyz`.

use std::{future::ready, sync::Arc};

use guildhall_gateway::Gateway;
use guildhall_mesh::admin::Readiness;
use svc_auth::Auth;
use svc_chat::Chat;

/// svc-auth is ready when its database answers.
pub(super) fn auth(readiness: &Readiness, auth: Auth) -> Arc<Auth> {
    let auth = Arc::new(auth);
    let asked = auth.clone();
    readiness.check("auth", move || {
        let auth = asked.clone();
        async move {
            let is_ready = auth.is_ready().await;
            is_ready
                .then_some(())
                .ok_or_else(|| "its database does not answer".to_owned())
        }
    });
    auth
}

/// svc-chat is ready when its stores answer.
pub(super) fn chat(readiness: &Readiness, chat: &Chat) {
    let chat = chat.clone();
    readiness.check("chat", move || {
        let chat = chat.clone();
        async move { chat.ready().await }
    });
}

/// The gateway is ready when the services answer it.
pub(super) fn gateway(readiness: &Readiness, gateway: &Gateway) {
    let heard = gateway.ready();
    readiness.check("gateway", move || {
        let is_ready = *heard.borrow();
        let told = is_ready
            .then_some(())
            .ok_or_else(|| "a service does not answer it".to_owned());
        ready(told)
    });
}
