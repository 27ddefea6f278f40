//! How fast requests are answered, over real sockets, beside a floor in the same run.
//!
//! `just bench-http`, or `cargo bench -p tandem-server --bench http -- [--requests N] [--contacts N] [--only NAME,NAME]
//! [--on DATABASE]`; the names are abuse, webhooks, pages and ingest, the databases sqlite and postgres. Pages and ingest are
//! measured over `--contacts` contacts, which take their time to be written: a million is the figure that is aimed at. PostgreSQL is started by the run, with default durability
//! (fsync on); SQLite syncs every commit. Figures are of the machine they were taken on: read them beside the floor.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on fails")]

mod abuse;
mod grown;
mod ingest;
mod pages;
mod webhooks;

use mimalloc::MiMalloc;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tandem_app::AccessTokenIssue;
use tandem_domain::access::Role;
use tandem_server::config::Settings;
use tandem_server::http::{Http, router};
use tandem_server::shutdown;
use tandem_testkit::{Cluster, World};
use tokio::net::TcpListener;

/// The program's own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A server over a world, and a client of it.
struct Bench {
    world: World,
    address: SocketAddr,
    client: reqwest::Client,
    token: String,
    _trigger: shutdown::Trigger,
}

impl Bench {
    async fn over(world: World) -> Self {
        let mut settings = Settings::defaults().unwrap();
        // What is measured is not how well the limits hold.
        settings.server.requests_per_second = u32::MAX.try_into().unwrap();
        settings.server.request_burst = u32::MAX.try_into().unwrap();
        settings.server.events_per_second = u32::MAX.try_into().unwrap();
        settings.server.event_burst = u32::MAX.try_into().unwrap();
        let (trigger, shutdown) = shutdown::channel();
        let http = Http::new(&settings, world.app.clone(), shutdown).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router(http)).into_future());
        let (user, _) = world.user("ada", Role::Admin, None).await;
        let issue = AccessTokenIssue::new(user.id, "bench", Role::Admin);
        let token = world.app.issue_token(&world.system(), issue).await.unwrap().secret.unwrap();
        Self { world, address, client: reqwest::Client::new(), token, _trigger: trigger }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Posts a GraphQL body; gives the status.
    async fn graphql(&self, body: &str) -> u16 {
        let request = self.client.post(self.url("/graphql")).bearer_auth(&self.token);
        let request =
            request.header("content-type", "application/json").header("accept", "application/graphql-response+json");
        // A body that is too large is refused before it is through: this client may be cut off while it still sends.
        let Ok(response) = request.body(body.to_owned()).send().await else { return 413 };
        let status = response.status().as_u16();
        response.bytes().await.unwrap();
        status
    }
}

/// Times of one kind of request.
struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place"
        )]
        let place = ((self.0.len() - 1) as f64 * share).round() as usize;
        self.0[place].as_secs_f64() * 1_000.0
    }

    fn show(mut self, name: &str, whole: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let rate = self.0.len() as f64 / whole.as_secs_f64();
        let (half, most, last) = (self.at(0.5), self.at(0.99), self.at(1.0));
        println!("{name:<44} {rate:>9.0}/s   p50 {half:>8.2} ms   p99 {most:>8.2} ms   max {last:>8.2} ms");
    }
}

/// The time that one request took.
async fn timed<T>(request: impl Future<Output = T>) -> (Duration, T) {
    let began = Instant::now();
    let answer = request.await;
    (began.elapsed(), answer)
}

fn main() {
    // The client's library wants to be told by whom its connections are protected, also where none is.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let (mut requests, mut contacts, mut only, mut on) = (1_000, 100_000, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--requests" => requests = arguments.next().unwrap().parse().unwrap(),
            "--contacts" => contacts = arguments.next().unwrap().parse().unwrap(),
            "--only" => only = arguments.next(),
            "--on" => on = arguments.next(),
            // Cargo's own.
            "--bench" => {}
            other => panic!("no such option: {other}"),
        }
    }
    let wants =
        |list: &Option<String>, name: &str| list.as_deref().is_none_or(|list| list.split(',').any(|one| one == name));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let cluster = wants(&on, "postgres").then(Cluster::start).flatten();
    runtime.block_on(async {
        for database in ["sqlite", "postgres"].into_iter().filter(|database| wants(&on, database)) {
            let world = match (database, &cluster) {
                ("sqlite", _) => World::sqlite_durable().await,
                (_, Some(cluster)) => World::on(cluster).await,
                (_, None) => continue,
            };
            let bench = Bench::over(world).await;
            if wants(&only, "abuse") {
                println!("\n{database}: requests that are meant to hurt, one after the other");
                abuse::run(&bench, requests / 5).await;
            }
            if wants(&only, "webhooks") {
                println!("\n{database}: {requests} deliveries to a webhook, 50 at a time");
                webhooks::run(&bench, requests).await;
            }
            if wants(&only, "pages") || wants(&only, "ingest") {
                println!("\n{database}: pages and events over a database that has grown, 8 at a time");
                let grown = grown::grow(&bench, contacts).await;
                if wants(&only, "pages") {
                    pages::run(&bench, &grown, requests).await;
                }
                if wants(&only, "ingest") {
                    ingest::run(&bench, requests / 2).await;
                }
            }
        }
    });
}
