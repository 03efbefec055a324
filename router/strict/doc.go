// Package strict reads commands as JSON. Every text with two readings is
// refused: duplicate members, members that nobody knows, values of another
// type, deep nesting, texts that are not UTF-8. The gateway reads the commands
// of HTTP with this package, and the decider the commands of topic commands and
// of the log: so no way into the router is looser than another.
package strict
