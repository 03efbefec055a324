package lists

import "github.com/millrace/millrace/router/aggregate"

// CloseList asks to end a list. A closed list can be read, and never changes.
type CloseList struct {
	ID ID `json:"id"`
}

// Type is "closeList".
func (CloseList) Type() string { return "closeList" }

// AggregateID is the id of the list.
func (c CloseList) AggregateID() string { return string(c.ID) }

// Decide closes an open list.
func (c CloseList) Decide(l List) (aggregate.Event[List], error) {
	if err := l.mustBeOpen(); err != nil {
		return nil, err
	}
	return ListClosed(c), nil
}

// ListClosed says that a list has ended.
type ListClosed struct {
	ID ID `json:"id"`
}

// Type is "listClosed".
func (ListClosed) Type() string { return "listClosed" }

// AggregateID is the id of the list.
func (e ListClosed) AggregateID() string { return string(e.ID) }

// Apply closes the list. The items go: nothing is decided by the items of a
// closed list.
func (ListClosed) Apply(List) List { return List{Status: Closed} }
