//! WebSocket sessions, rooms, the JSON API.
