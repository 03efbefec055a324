// Package eventlog is the vocabulary of the log, without a client of Kafka.
//
// A [Record] is the outcome of one command. It takes the next sequence number of
// its stream and names the record before it: [Head.Accept], which every fold
// asks. An [Envelope] is a command on its way. A [Position] is a place in the
// log, for clients.
package eventlog
