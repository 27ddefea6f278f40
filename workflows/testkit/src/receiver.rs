//! A receiver of webhooks that answers as it is told to and remembers what it was sent.

use chrono::TimeDelta;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tandem_app::outbound::{Asked, PortFuture, Post, Reply, Unsent, WebhookSender};
use tandem_domain::outbound::call::{Answer as CallAnswer, Body, Outgoing};
use tokio::sync::watch;

/// How a receiver answers.
pub type Answer = Result<Reply, Unsent>;

/// Every address answers 204 unless it was told otherwise.
#[derive(Default)]
pub struct FakeReceiver {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    posts: Vec<Post>,
    answers: HashMap<String, Answer>,
    calls: Vec<Outgoing>,
    said: Vec<(String, Asked)>,
    /// The addresses that hold their answers back until this turns true.
    held: HashMap<String, watch::Sender<bool>>,
    /// How many posts to an address wait for its answer, and how many did at most.
    waiting: HashMap<String, (usize, usize)>,
}

/// A post that waits for its answer, until this is dropped.
struct Waiting<'r> {
    receiver: &'r FakeReceiver,
    url: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.inner().waiting.entry(self.url.clone()).or_default().0 -= 1;
    }
}

impl FakeReceiver {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on an address answers with this status, and asks to be left alone for so many seconds.
    pub fn answer(&self, url: &str, status: u16, retry_after: Option<i64>) {
        let reply = Reply { status, retry_after: retry_after.map(TimeDelta::seconds), excerpt: "said".to_owned() };
        self.inner().answers.insert(url.to_owned(), Ok(reply));
    }

    /// From now on an address cannot be reached.
    pub fn fail(&self, url: &str, code: &'static str) {
        let unsent = Unsent { code, message: "it could not be reached".to_owned() };
        self.inner().answers.insert(url.to_owned(), Err(unsent));
    }

    /// From now on calls of an address that begins so are answered with this status and body. Without it they are answered with
    /// what every chat calls a success.
    pub fn say(&self, url: &str, status: u16, body: &str) {
        self.say_and_ask(url, status, body, None);
    }

    /// The same, asking to be left alone for so many seconds.
    pub fn say_and_ask(&self, url: &str, status: u16, body: &str, retry_after: Option<i64>) {
        let answer = CallAnswer {
            status,
            retry_after: retry_after.map(TimeDelta::seconds),
            excerpt: body.chars().take(1_000).collect(),
            body: Body::Whole(body.as_bytes().to_vec()),
        };
        self.inner().said.push((url.to_owned(), Ok(answer)));
    }

    /// From now on calls of an address that begins so are not answered.
    pub fn say_nothing(&self, url: &str, code: &'static str) {
        let unsent = Unsent { code, message: "it could not be reached".to_owned() };
        self.inner().said.push((url.to_owned(), Err(unsent)));
    }

    /// The calls that were made so far, the refused tries included.
    pub fn calls(&self) -> Vec<Outgoing> {
        self.inner().calls.clone()
    }

    /// From now on an address takes posts and does not answer them, until it is let go.
    pub fn hold(&self, url: &str) {
        self.inner().held.insert(url.to_owned(), watch::Sender::new(false));
    }

    /// Answers what waits at an address that was held, and what comes.
    pub fn let_go(&self, url: &str) {
        if let Some(held) = self.inner().held.remove(url) {
            held.send_replace(true);
        }
    }

    /// How many posts waited for the answer of an address at the same time, at most.
    pub fn most_at_once(&self, url: &str) -> usize {
        self.inner().waiting.get(url).map_or(0, |(_, most)| *most)
    }

    /// What was posted so far, the refused tries included.
    pub fn posts(&self) -> Vec<Post> {
        self.inner().posts.clone()
    }

    /// The bodies that an address was sent.
    pub fn bodies(&self, url: &str) -> Vec<Value> {
        let posts = self.posts().into_iter().filter(|post| post.url == url);
        posts.map(|post| serde_json::from_str(&post.body).unwrap_or_default()).collect()
    }
}

impl WebhookSender for FakeReceiver {
    fn post(&self, post: Post) -> PortFuture<'_, Answer> {
        let mut inner = self.inner();
        let answer = inner.answers.get(&post.url).cloned();
        let held = inner.held.get(&post.url).map(watch::Sender::subscribe);
        let (now, most) = inner.waiting.entry(post.url.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        let waiting = Waiting { receiver: self, url: post.url.clone() };
        inner.posts.push(post);
        drop(inner);
        let usual = Ok(Reply { status: 204, retry_after: None, excerpt: String::new() });
        Box::pin(async move {
            let _waiting = waiting;
            if let Some(mut held) = held {
                // The address is let go, or was held anew.
                let _ = held.wait_for(|answers| *answers).await;
            }
            answer.unwrap_or(usual)
        })
    }

    fn ask(&self, call: Outgoing) -> PortFuture<'_, Asked> {
        let mut inner = self.inner();
        let said = inner.said.iter().rfind(|(url, _)| call.url.starts_with(url.as_str())).map(|(_, said)| said.clone());
        inner.calls.push(call);
        let body = Body::Whole(br#"{"errcode":0,"code":0}"#.to_vec());
        let usual = Ok(CallAnswer { status: 200, retry_after: None, excerpt: "ok".to_owned(), body });
        Box::pin(std::future::ready(said.unwrap_or(usual)))
    }

    fn check(&self, url: &str) -> Result<(), Unsent> {
        if url.starts_with("https://") {
            return Ok(());
        }
        Err(Unsent { code: "WEBHOOK_URL_INVALID", message: "a webhook is posted to an https address".to_owned() })
    }
}
