package decider

import "github.com/millrace/millrace/router/aggregate"

// Refusals are the refusals of the router itself: commands of any aggregate can
// be refused with these.
func Refusals() []*aggregate.Refusal {
	return []*aggregate.Refusal{
		{Slug: aggregate.SlugVersionMismatch, Detail: "`expectedVersion` is not the stream's version", Kind: aggregate.PreconditionFailed},
		errDropped,
	}
}
