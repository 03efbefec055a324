// Package commandguard makes sure that no offset of topic commands is used twice:
// rule 5 of ARCHITECTURE.md.
package commandguard
