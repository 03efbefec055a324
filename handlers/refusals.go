package handlers

import (
	"slices"

	"github.com/millrace/millrace/handlers/users"
)

// Refusals are all that a client's command may be refused with: the domain's,
// and those of the write side.
func Refusals() []*users.Refusal {
	return append(slices.Clone(users.Refusals),
		&users.Refusal{Slug: SlugVersionMismatch, Detail: "`expectedVersion` is not the user's version"},
		errDropped,
	)
}
