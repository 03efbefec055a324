package lists

import "github.com/millrace/millrace/router/aggregate"

// The refusals of lists.
var (
	ErrExists       = &aggregate.Refusal{Slug: "list-exists", Detail: "the list exists already"}
	ErrNotFound     = &aggregate.Refusal{Slug: "list-not-found", Detail: "there is no such list", Kind: aggregate.NotFound}
	ErrClosed       = &aggregate.Refusal{Slug: "list-closed", Detail: "the list is closed"}
	ErrFull         = &aggregate.Refusal{Slug: "list-full", Detail: "a list has at most 100 items"}
	ErrItemThere    = &aggregate.Refusal{Slug: "item-already-there", Detail: "the item is on the list already"}
	ErrItemNotThere = &aggregate.Refusal{Slug: "item-not-there", Detail: "the item is not on the list"}
)
