//! The MCP tools, written down once: the daemon serves them, and the shim shows the same list while no daemon can be had.

/// A JSON array of MCP `Tool` objects.
pub const TOOLS_JSON: &str = include_str!("tools.json");
