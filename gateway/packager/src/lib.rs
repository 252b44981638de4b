//! Timeline, segments and LL-HLS playlists as values.
