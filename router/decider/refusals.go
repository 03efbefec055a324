package decider

import "github.com/millrace/millrace/router/aggregate"

// Refusals are those of the write side, of commands of any aggregate.
func Refusals() []*aggregate.Refusal {
	return []*aggregate.Refusal{
		{Slug: aggregate.SlugVersionMismatch, Detail: "`expectedVersion` is not the stream's version", Kind: aggregate.PreconditionFailed},
		errDropped,
	}
}
