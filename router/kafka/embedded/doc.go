// Package embedded is all the Kafka that one machine needs: a broker in this
// process, with its data on disk.
package embedded
