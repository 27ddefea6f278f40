//! `/u/{token}`: where the unsubscribe link of an e-mail leads.
//!
//! GET shows a page and changes nothing, because scanners follow every link of an e-mail. POST unsubscribes (RFC 8058
//! one-click, or the button of the page), as often as it is repeated, without cookie, login or question.

use super::error::HttpError;
use super::request::RequestId;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tandem_app::{App, AppError, Call, EmailUnsubscribe};
use tandem_domain::link::{Link, Refusal};

/// The routes, over an application.
pub fn routes<S: Clone + Send + Sync + 'static>(app: App) -> Router<S> {
    Router::new().route("/u/{token}", get(show).post(unsubscribe)).with_state(app)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    English,
    Chinese,
}

/// The language asked for: Chinese where it is preferred to English, else English.
fn language(headers: &HeaderMap) -> Language {
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut best = (0.0_f32, Language::English);
    for part in wanted.split(',') {
        let mut pieces = part.split(';').map(str::trim);
        let tag = pieces.next().unwrap_or_default().to_ascii_lowercase();
        let q = pieces.find_map(|piece| piece.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        let language = match tag.split('-').next() {
            Some("zh") => Language::Chinese,
            Some("en") => Language::English,
            _ => continue,
        };
        if q > best.0 {
            best = (q, language);
        }
    }
    best.1
}

/// What a page says.
#[derive(Debug, Clone, Copy)]
enum Say {
    Ask,
    Done,
    Wrong(Refusal),
    Gone,
}

impl Say {
    const fn status(self) -> StatusCode {
        match self {
            Self::Ask | Self::Done => StatusCode::OK,
            Self::Wrong(Refusal::KeyRetired) => StatusCode::GONE,
            Self::Wrong(_) | Self::Gone => StatusCode::NOT_FOUND,
        }
    }

    /// The heading and the sentence below it.
    const fn words(self, language: Language) -> (&'static str, &'static str) {
        match (self, language) {
            (Self::Ask, Language::English) => {
                ("Unsubscribe", "Press the button, and we will not write to this address again.")
            }
            (Self::Ask, Language::Chinese) => ("退订", "点击按钮后，我们不会再向该地址发送邮件。"),
            (Self::Done, Language::English) => {
                ("You are unsubscribed", "We will not write to this address again. You can close this page.")
            }
            (Self::Done, Language::Chinese) => ("退订成功", "我们不会再向该地址发送邮件。您可以关闭此页面。"),
            (Self::Wrong(Refusal::KeyRetired), Language::English) => {
                ("This link is too old", "Please answer the e-mail and ask us to stop writing.")
            }
            (Self::Wrong(Refusal::KeyRetired), Language::Chinese) => {
                ("链接已过期", "请直接回复邮件，告知我们停止发送。")
            }
            (Self::Wrong(_) | Self::Gone, Language::English) => {
                ("This link does not work", "Please copy the whole link from the e-mail, or answer the e-mail.")
            }
            (Self::Wrong(_) | Self::Gone, Language::Chinese) => {
                ("链接无效", "请从邮件中复制完整链接，或直接回复邮件。")
            }
        }
    }

    fn page(self, headers: &HeaderMap) -> Response {
        let language = language(headers);
        let (tag, button) = match language {
            Language::English => ("en", "Unsubscribe"),
            Language::Chinese => ("zh-CN", "退订"),
        };
        let (heading, sentence) = self.words(language);
        // The form goes back to the address of the page; without scripts, so that it works everywhere.
        let form = match self {
            Self::Ask => format!(
                "<form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\
                 <button type=\"submit\">{button}</button></form>"
            ),
            _ => String::new(),
        };
        let html = format!(
            "<!doctype html>\n<html lang=\"{tag}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{heading}</title><style>{STYLE}</style></head>\
             <body><main><h1>{heading}</h1><p>{sentence}</p>{form}</main></body></html>\n"
        );
        let headers = [
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_LANGUAGE, tag),
            (header::VARY, "Accept-Language"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (self.status(), headers, Html(html)).into_response()
    }
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;margin:0;color:#1a1a1a;background:#fff}\
    main{max-width:32rem;margin:15vh auto;padding:0 1rem}\
    button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.3rem;background:#0b5394;color:#fff;cursor:pointer}\
    button:focus-visible{outline:3px solid #f1c232;outline-offset:2px}";

async fn show(State(app): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    match app.env.mail.links.open(&token) {
        Ok(Link::Unsubscribe { .. }) => Say::Ask.page(&headers),
        Ok(_) => Say::Wrong(Refusal::Malformed).page(&headers),
        Err(refusal) => Say::Wrong(refusal).page(&headers),
    }
}

async fn unsubscribe(
    State(app): State<App>,
    Path(token): Path<String>,
    request: Option<Extension<RequestId>>,
    headers: HeaderMap,
) -> Response {
    let (email, contact) = match app.env.mail.links.open(&token) {
        Ok(Link::Unsubscribe { email, contact }) => (email, contact),
        Ok(_) => return Say::Wrong(Refusal::Malformed).page(&headers),
        Err(refusal) => return Say::Wrong(refusal).page(&headers),
    };
    let request = request.map_or_else(|| "unsubscribe".to_owned(), |Extension(RequestId(id))| id);
    match app.run(&Call::system(request), EmailUnsubscribe { email, contact }).await {
        Ok(_) => Say::Done.page(&headers),
        // Repeated, or suppressed before: what the person wants is already so.
        Err(AppError::Refused { code: "SUPPRESSION_EXISTS", .. }) => Say::Done.page(&headers),
        Err(AppError::NotFound { .. }) => Say::Gone.page(&headers),
        Err(error) => {
            tracing::error!(%error, "somebody could not be unsubscribed");
            HttpError::internal().into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &'static str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, text.parse().unwrap());
        language(&headers)
    }

    #[test]
    fn the_language_is_the_best_of_the_two_that_there_are() {
        assert_eq!(language(&HeaderMap::new()), Language::English);
        assert_eq!(asked("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(asked("de, en;q=0.7, zh;q=0.3"), Language::English);
        assert_eq!(asked("fr;q=1, *;q=0.5, ;;, zh;q=x"), Language::Chinese);
        assert_eq!(asked("zh;q=0"), Language::English);
    }
}
