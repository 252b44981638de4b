//! The webhook client against a server that answers badly.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Redirect;
use axum::routing::post;
use http::StatusCode;
use serde_json::{Value, json};

use super::client::{WebhookClient, WebhookError};

async fn server() -> SocketAddr {
    let router = Router::new()
        .route(
            "/echo",
            post(async |headers: http::HeaderMap, body: String| format!("{:?} {body}", headers.get("sora-connection-id"))),
        )
        .route("/error", post(async || (StatusCode::INTERNAL_SERVER_ERROR, r#"{"allowed":true}"#)))
        .route("/elsewhere", post(async || Redirect::temporary("/echo")))
        .route("/long", post(async || "x".repeat(70_000)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn ask(client: &WebhookClient, url: String) -> Result<String, WebhookError> {
    let answer = client.post(&url, &[("sora-connection-id", "ID")], &json!({"a": Value::Null})).await?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn only_2xx_of_bounded_length_without_redirects_counts() {
    let address = server().await;
    let client = WebhookClient::new(true);
    assert_eq!(ask(&client, format!("http://{address}/echo")).await.unwrap(), r#"Some("ID") {"a":null}"#);
    assert!(matches!(ask(&client, format!("http://{address}/error")).await, Err(WebhookError::Status(500))));
    assert!(matches!(ask(&client, format!("http://{address}/elsewhere")).await, Err(WebhookError::Status(307))));
    assert!(matches!(ask(&client, format!("http://{address}/long")).await, Err(WebhookError::TooLong)));
    assert!(matches!(ask(&client, "http://127.0.0.1:1/".into()).await, Err(WebhookError::Http(_))));
    assert!(matches!(ask(&client, "nonsense".into()).await, Err(WebhookError::Url)));
}

#[tokio::test]
async fn our_own_network_is_out_of_reach() {
    let address = server().await;
    let client = WebhookClient::new(false);
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "10.0.0.1", "169.254.169.254"] {
        let asked = ask(&client, format!("http://{host}:{}/echo", address.port())).await;
        assert!(matches!(asked, Err(WebhookError::Private)), "{host} {asked:?}");
    }
    let asked = ask(&client, format!("http://localhost:{}/echo", address.port())).await;
    assert!(matches!(asked, Err(WebhookError::Http(_))), "a name is refused where it is resolved: {asked:?}");
}
