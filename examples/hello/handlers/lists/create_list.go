package lists

import "github.com/millrace/millrace/router/aggregate"

// CreateList asks for a new list.
type CreateList struct {
	ID    ID   `json:"id"`
	Title Text `json:"title"`
}

// Type is "createList".
func (CreateList) Type() string { return "createList" }

// AggregateID is the id of the list.
func (c CreateList) AggregateID() string { return string(c.ID) }

// Decide creates the list, once.
func (c CreateList) Decide(l List) (aggregate.Event[List], error) {
	if l.Status != Absent {
		return nil, ErrExists
	}
	return ListCreated(c), nil
}

// ListCreated says that there is a new list.
type ListCreated struct {
	ID    ID   `json:"id"`
	Title Text `json:"title"`
}

// Type is "listCreated".
func (ListCreated) Type() string { return "listCreated" }

// AggregateID is the id of the list.
func (e ListCreated) AggregateID() string { return string(e.ID) }

// Apply opens the list.
func (ListCreated) Apply(List) List { return List{Status: Open} }
