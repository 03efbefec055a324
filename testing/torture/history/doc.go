// Package history is what the clients of a torture run saw, and the checker
// that compares it with what is in Kafka in the end.
//
// The checker has its own view of what counts: messaging's gate, the domain's
// rules, and nothing else of Millrace.
package history
