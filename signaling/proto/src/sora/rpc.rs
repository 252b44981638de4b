//! JSON-RPC 2.0 over the data channel `rpc`: one object per message, no batches.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A call of the client, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcCall {
    /// To be repeated in the response; `None` for a notification, which gets none.
    pub id: Option<Value>,
    /// As `2025.2.0/RequestSimulcastRid`.
    pub method: String,
    /// By name; empty where absent.
    pub params: Map<String, Value>,
}

/// What went wrong, with the code of JSON-RPC 2.0 §5.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RpcError {
    /// −32700 to −32600.
    pub code: i32,
    /// Words for a person.
    pub message: String,
}

impl RpcError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Not JSON.
    #[must_use]
    pub fn parse_error() -> Self {
        Self::new(-32_700, "Parse error")
    }

    /// JSON, but no request.
    #[must_use]
    pub fn invalid_request(why: &str) -> Self {
        Self::new(-32_600, format!("Invalid Request: {why}"))
    }

    /// Unknown, or not granted to this connection.
    #[must_use]
    pub fn method_not_found() -> Self {
        Self::new(-32_601, "Method not found")
    }

    /// Missing, of the wrong type, out of range or too many.
    #[must_use]
    pub fn invalid_params(why: impl std::fmt::Display) -> Self {
        Self::new(-32_602, format!("Invalid params: {why}"))
    }

    /// Ours.
    #[must_use]
    pub fn internal(why: &str) -> Self {
        Self::new(-32_603, format!("Internal error: {why}"))
    }
}

impl RpcCall {
    /// Reads one message.
    ///
    /// # Errors
    /// The whole text of the response to what is no request.
    pub fn parse(text: &str) -> Result<Self, String> {
        let null = Some(Value::Null);
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return Err(response(null, Err(RpcError::parse_error())).unwrap_or_default());
        };
        Self::read(&value).map_err(|why| {
            let id = value.get("id").filter(|id| is_id(id)).cloned().or(null);
            response(id, Err(RpcError::invalid_request(why))).unwrap_or_default()
        })
    }

    fn read(value: &Value) -> Result<Self, &'static str> {
        let request = value.as_object().ok_or("must be an object")?;
        if request.get("jsonrpc") != Some(&json!("2.0")) {
            return Err("jsonrpc must be \"2.0\"");
        }
        let id = match request.get("id") {
            Some(id) if !is_id(id) => return Err("id must be a number, a string or null"),
            id => id.cloned(),
        };
        let method = request.get("method").and_then(Value::as_str).ok_or("method must be a string")?.to_owned();
        let params = match request.get("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params.clone(),
            // By position is legal in JSON-RPC, but no method here has an order.
            Some(_) => return Err("params must be an object"),
        };
        Ok(Self { id, method, params })
    }

    /// The text of its response; `None` for a notification.
    #[must_use]
    pub fn response(&self, result: Result<Value, RpcError>) -> Option<String> {
        response(self.id.clone(), result)
    }
}

fn is_id(id: &Value) -> bool {
    id.is_number() || id.is_string() || id.is_null()
}

fn response(id: Option<Value>, result: Result<Value, RpcError>) -> Option<String> {
    let id = id?;
    let body = match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    };
    Some(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> i64 {
        let answer: Value = serde_json::from_str(&RpcCall::parse(text).unwrap_err()).unwrap();
        assert_eq!(answer["jsonrpc"], "2.0");
        answer["error"]["code"].as_i64().unwrap()
    }

    #[test]
    fn what_is_no_request_gets_its_code() {
        assert_eq!(code("{"), -32_700);
        for text in [
            "[]",
            "3",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#,
        ] {
            assert_eq!(code(text), -32_600, "{text}");
        }
    }

    #[test]
    fn notifications_are_not_answered() {
        let call = RpcCall::parse(r#"{"jsonrpc":"2.0","method":"x"}"#).unwrap();
        assert_eq!(call.response(Ok(Value::Null)), None);
        let call = RpcCall::parse(r#"{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":1}}"#).unwrap();
        let answer: Value = serde_json::from_str(&call.response(Err(RpcError::method_not_found())).unwrap()).unwrap();
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32_601, "message": "Method not found"}}));
    }
}
