// Package connection opens the connections of a Kafka client, and tells why a
// connection fails.
//
//   - dial.go: [Dialer], TLS and SASL of each connection, with files read again,
//     and [ErrRefused].
//   - security.go: [Security], the settings of TLS and SASL.
//   - explain.go: [Explain], words for errors of the client.
//   - unmeasured.go: [Unmeasured], an empty registry of metrics.
package connection
