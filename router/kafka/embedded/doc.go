// Package embedded is a Kafka broker inside the process, for one machine, with
// its data on disk. Any Kafka client can use the broker.
package embedded
