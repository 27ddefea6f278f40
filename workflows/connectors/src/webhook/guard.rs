//! Which addresses a webhook may be posted to.
//!
//! Whoever sets up a webhook chooses an address, and this server connects to it from inside the operator's network. So
//! every address is judged by its number, after the name is resolved and before anything connects: the addresses that
//! are connected to are the very ones that were judged, and a name that leads elsewhere a moment later changes nothing.

mod ranges;

use super::{ADDRESS_REFUSED, URL_INVALID};
use ipnet::IpNet;
use ranges::{GLOBAL_V6, REFUSED_NAMES, REFUSED_V4, REFUSED_V6};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tandem_app::outbound::{PortFuture, Unsent};
use url::{Host, Url};

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// The longest address of a webhook, in bytes. The library below takes no more than 64 KiB.
const MAX_URL: usize = 8_000;

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync {
    /// The addresses, in the order in which they are to be tried.
    fn addresses(&self, name: String) -> PortFuture<'_, std::io::Result<Vec<IpAddr>>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: String) -> PortFuture<'_, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Judges addresses.
///
/// An address is refused if it is in a refused range and in no network of the allow list. A form of IPv6 that carries
/// an IPv4 address is itself what is judged: `::ffff:10.0.0.1` is allowed by `::ffff:0:0/96`, and not by `10.0.0.0/8`.
///
/// Names are refused by their text only where nothing is allowed: that is no more than an early and plainer answer,
/// since the addresses decide. Whoever allows a network of their own may reach it by any name.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allow: Vec<IpNet>,
    allow_http: bool,
}

impl Guard {
    /// A guard that lets through what is public, and what is allowed on top.
    pub(super) fn new(allow: Vec<IpNet>, allow_http: bool) -> Self {
        Self { allow, allow_http }
    }

    /// The address, parsed, where its text is no reason to refuse it. The fragment is left out: it is nobody else's.
    pub(super) fn target(&self, text: &str) -> Result<Url, Unsent> {
        if text.len() > MAX_URL {
            return Err(invalid(format!("an address has at most {MAX_URL} bytes")));
        }
        let mut url = Url::parse(text).map_err(|error| invalid(format!("not an address: {error}")))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ if self.allow_http => return Err(invalid("an address begins with https:// or http://")),
            _ => return Err(invalid("an address begins with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("an address has no user and no password in it"));
        }
        if url.port() == Some(0) {
            return Err(invalid("nobody listens at port 0"));
        }
        match url.host() {
            None => return Err(invalid("an address names a host")),
            Some(Host::Domain(name)) => self.judge_name(name)?,
            Some(Host::Ipv4(address)) => self.judge_literal(address.into())?,
            Some(Host::Ipv6(address)) => self.judge_literal(address.into())?,
        }
        url.set_fragment(None);
        Ok(url)
    }

    /// Why an address is refused, if it is.
    pub(super) fn reason(&self, address: IpAddr) -> Option<&'static str> {
        if self.allow.iter().any(|net| net.contains(&address)) {
            return None;
        }
        match address {
            IpAddr::V4(address) => REFUSED_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what),
            IpAddr::V6(address) => {
                let listed = REFUSED_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what);
                listed.or_else(|| (!GLOBAL_V6.contains(&address)).then_some("reserved (RFC 4291)"))
            }
        }
    }

    fn judge_literal(&self, address: IpAddr) -> Result<(), Unsent> {
        match self.reason(address) {
            None => Ok(()),
            Some(reason) => Err(refused(format!("{address} is refused: {reason}"))),
        }
    }

    fn judge_name(&self, name: &str) -> Result<(), Unsent> {
        if !self.allow.is_empty() {
            return Ok(());
        }
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let within = |zone: &str| bare.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if let Some(zone) = REFUSED_NAMES.into_iter().find(|zone| within(zone)) {
            return Err(refused(format!("`{bare}` is refused: `{zone}` is not of the internet")));
        }
        if !bare.contains('.') {
            return Err(refused(format!("`{bare}` is refused: a name of the internet has a dot in it")));
        }
        Ok(())
    }

    /// The addresses of a name that are not refused. An error if there are none.
    async fn admitted(&self, lookup: &dyn Lookup, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let unknown = |error: String| Unresolved::Unknown { name: name.to_owned(), error };
        let found = lookup.addresses(name.to_owned()).await.map_err(|error| unknown(error.to_string()))?;
        let mut reason = None;
        let admitted: Vec<_> = found
            .into_iter()
            .filter(|address| {
                let why = self.reason(*address);
                if let Some(why) = why {
                    tracing::debug!(name, %address, why, "an address of a webhook's receiver is refused");
                }
                reason = reason.or(why);
                why.is_none()
            })
            .take(MAX_ADDRESSES)
            .collect();
        match reason {
            _ if !admitted.is_empty() => Ok(admitted),
            Some(reason) => Err(Unresolved::Refused { name: name.to_owned(), reason }),
            None => Err(unknown("it has no address".to_owned())),
        }
    }
}

/// Why a name led nowhere. It says no address: what a name means inside of the operator's network is not for whoever
/// set up the webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// There are addresses, and every one is refused.
    #[error("`{name}` leads only to addresses that are refused: {reason}")]
    Refused {
        /// The name.
        name: String,
        /// Why the first of them is refused.
        reason: &'static str,
    },
    /// There is no address.
    #[error("`{name}` was not resolved: {error}")]
    Unknown {
        /// The name.
        name: String,
        /// What the resolver says.
        error: String,
    },
}

/// Resolves names for the HTTP client, and gives it nothing else to connect to than what the guard let through.
pub(super) struct GuardedResolver {
    /// Judges the addresses.
    pub(super) guard: Arc<Guard>,
    /// Finds them.
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, lookup) = (Arc::clone(&self.guard), Arc::clone(&self.lookup));
        Box::pin(async move {
            let admitted = guard.admitted(&*lookup, name.as_str()).await?;
            // The client puts the port in.
            let addresses: Addrs = Box::new(admitted.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

fn invalid(message: impl Into<String>) -> Unsent {
    Unsent { code: URL_INVALID, message: message.into() }
}

fn refused(message: String) -> Unsent {
    Unsent { code: ADDRESS_REFUSED, message }
}

#[cfg(test)]
mod tests;
