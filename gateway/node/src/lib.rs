//! From the tap to the HLS origin: one timeline per programme, a ring in memory, HTTP.
