// Package protocol is a model of the write side's protocol.
package protocol
