// Package bank checks a torture run of examples/bank: what clients sent and read,
// the log at the end, and the public topic.
//
// The checker has its own view of what should be there: the gate of
// router/eventlog, the rules of both aggregates, and the reaction, which is asked
// again for every record that counts. So what the reaction had to send is known,
// command by command: each must have ended once, and nothing else may be there.
package bank
