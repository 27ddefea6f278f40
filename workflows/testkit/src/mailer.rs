//! A mailer for tests that are about something else than SMTP.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tandem_app::email::port::{Delivery, Mailer, OutgoingEmail, PortFuture, Turn};

/// Keeps what it is given, and answers as it is told: "accepted" where it is told nothing.
#[derive(Debug, Default)]
pub struct FakeMailer {
    sent: Mutex<Vec<OutgoingEmail>>,
    answers: Mutex<VecDeque<Delivery>>,
    full: AtomicBool,
}

impl FakeMailer {
    /// Everything it was given, in order.
    pub fn sent(&self) -> Vec<OutgoingEmail> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives nobody a turn from now on.
    pub fn fill(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    /// What to answer next, one after the other.
    pub fn answer(&self, answers: impl IntoIterator<Item = Delivery>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
    }
}

impl Mailer for FakeMailer {
    fn turn(&self) -> PortFuture<'_, Turn> {
        let full = self.full.load(Ordering::SeqCst);
        if full { Box::pin(std::future::pending()) } else { Box::pin(std::future::ready(Turn::default())) }
    }

    fn send(&self, message: OutgoingEmail) -> PortFuture<'_, Delivery> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        Box::pin(async move { answer.unwrap_or(Delivery::Accepted { response: "ok".to_owned() }) })
    }

    fn check(&self) -> PortFuture<'_, Result<String, String>> {
        Box::pin(async { Ok("a fake".to_owned()) })
    }
}
