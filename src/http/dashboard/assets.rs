//! The style sheet, the script and the icon, under names that say what is in them.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;

use super::page::Failure;
use super::show::hex;
use super::visit::Visit;
use crate::app::error::Error;
use crate::domain::secret::KeyDigest;
use crate::http::endpoint::with_type;

struct Asset {
    path: String,
    media_type: &'static str,
    text: &'static str,
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "style",
        "css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    )
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "script",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("script.js"),
    )
});
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("icon.svg")));

impl Asset {
    fn new(name: &str, ending: &str, media_type: &'static str, text: &'static str) -> Self {
        let digest = KeyDigest::of(text.as_bytes());
        let hash: String = hex(digest.as_bytes()).chars().take(16).collect();
        Self {
            path: format!("/ui/assets/{name}-{hash}.{ending}"),
            media_type,
            text,
        }
    }
}

/// Where the style sheet is.
pub(super) fn style() -> &'static str {
    &STYLE.path
}

/// Where the script is.
pub(super) fn script() -> &'static str {
    &SCRIPT.path
}

/// Where the icon is.
pub(super) fn icon() -> &'static str {
    &ICON.path
}

pub(super) async fn serve(visit: Visit<'_>) -> Result<Response, Failure> {
    let path = visit.parts.uri.path();
    let asset = [&*STYLE, &*SCRIPT, &*ICON]
        .into_iter()
        .find(|asset| asset.path == path);
    let asset = asset.ok_or(Error::NotFound)?;
    let mut response = with_type(asset.media_type, asset.text);
    // Another text has another name.
    let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, for_ever);
    Ok(response)
}
