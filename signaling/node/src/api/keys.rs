//! `ImageFlux_20200707.GetEncryptKey`: what the customer's key server asks for a viewer whom it lets in.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use minamo_signaling_proto::api::{EncryptKey, parse_kid};
use serde_json::Value;

use super::SharedState;
use super::error::ApiError;

pub(super) async fn media_key(state: SharedState, body: &Value) -> Result<Response, ApiError> {
    let kid = parse_kid(body)?;
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "UNKNOWN_KEY", "there is no such key");
    let key_id = state.programmes.key_id(kid).ok_or_else(unknown)?;
    let channel = state.catalog.channel_of_key(key_id).await?.ok_or_else(unknown)?;
    let key = state.programmes.media_key(&channel, kid).ok_or_else(unknown)?;
    let encrypt_key = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut response = Json(EncryptKey { encrypt_key }).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
