//! Which of the two media types of GraphQL over HTTP an answer is given in (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status says how the request went.
    GraphqlResponse,
    /// `application/json`: a well-formed request is answered with 200.
    Json,
}

impl Media {
    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The type that suits the caller best; none where neither is acceptable.
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let accept: Vec<&str> =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        if accept.is_empty() {
            return Some(Self::Json);
        }
        let accept = accept.join(",");
        let graphql = Preference::of(&accept, "application/graphql-response+json");
        let json = Preference::of(&accept, "application/json");
        match (graphql.filter(|it| it.quality > 0.0), json.filter(|it| it.quality > 0.0)) {
            (None, None) => None,
            (Some(_), None) => Some(Self::GraphqlResponse),
            (None, Some(_)) => Some(Self::Json),
            // A client that knows only wildcards gets what every client understands.
            (Some(graphql), Some(json)) if graphql.named && graphql.quality >= json.quality => {
                Some(Self::GraphqlResponse)
            }
            (Some(_), Some(_)) => Some(Self::Json),
        }
    }
}

/// How much a caller wants one media type.
#[derive(Debug, Clone, Copy)]
struct Preference {
    quality: f32,
    named: bool,
}

impl Preference {
    /// The most specific entry of an `Accept` header that covers `wanted`.
    fn of(accept: &str, wanted: &str) -> Option<Self> {
        let mut best: Option<(u8, Self)> = None;
        for entry in accept.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default().to_ascii_lowercase();
            let specific = match range.as_str() {
                exact if exact == wanted => 2,
                "application/*" => 1,
                "*/*" => 0,
                _ => continue,
            };
            let quality = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |text| text.parse().unwrap_or(0.0));
            if best.is_none_or(|(before, _)| specific > before) {
                best = Some((specific, Self { quality, named: specific == 2 }));
            }
        }
        best.map(|(_, preference)| preference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn negotiate(accept: &str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        Media::negotiate(&headers)
    }

    #[test]
    fn wildcards_and_silence_give_json() {
        assert_eq!(Media::negotiate(&HeaderMap::new()), Some(Media::Json));
        assert_eq!(negotiate("*/*"), Some(Media::Json));
        assert_eq!(negotiate("application/*"), Some(Media::Json));
    }

    #[test]
    fn the_better_quality_wins_and_a_tie_goes_to_graphql_response() {
        assert_eq!(negotiate("application/graphql-response+json, application/json"), Some(Media::GraphqlResponse));
        assert_eq!(
            negotiate("application/graphql-response+json;q=0.5, application/json;charset=utf-8;q=0.9"),
            Some(Media::Json)
        );
        assert_eq!(negotiate("application/graphql-response+json; charset=utf-8"), Some(Media::GraphqlResponse));
    }

    #[test]
    fn a_refused_type_is_not_given() {
        assert_eq!(negotiate("text/html"), None);
        assert_eq!(negotiate("application/json;q=0"), None);
        assert_eq!(negotiate("application/json;q=0, */*"), Some(Media::GraphqlResponse));
    }
}
