package listview

import (
	"context"
	_ "embed"
	"net/http"

	"github.com/gorilla/mux"

	"example.com/hello/handlers/lists"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

//go:embed openapi.yaml
var openAPI []byte

// Model is the read model with its queries, as a service lists a read model.
var Model = query.Model{Projection: Projection, Routes: routes, OpenAPI: openAPI}

func routes(router *mux.Router, reader *query.Reader) {
	q := queries{reader}
	q.GetPages(router, "/lists", q.page)
	q.Get(router, "/lists/{id}", q.list)
}

type queries struct{ *query.Reader }

// list is a list as a page shows lists.
type list struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	ItemCount int64  `json:"itemCount"`
	Closed    bool   `json:"closed"`
	Version   int64  `json:"version"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
	// Stale is set if the read model can't apply a later event.
	Stale bool `json:"stale,omitempty"`
}

// listWithItems is a list with the items.
type listWithItems struct {
	list
	Items []item `json:"items"`
}

// item is an item as clients see items.
type item struct {
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
	Checked  bool   `json:"checked"`
}

// page answers GET /lists.
func (q queries) page(w http.ResponseWriter, r *http.Request) error {
	parameters, err := query.Query(r, "limit", "after")
	if err != nil {
		return err
	}
	limit, wrong := query.Limit(parameters)
	after, err := query.DecodeCursor(parameters.Get("after")) // the id of the last list of the page before
	if err != nil && parameters.Has("after") {
		wrong = append(wrong, web.FieldError{Parameter: "after", Detail: err.Error()})
	}
	if len(wrong) > 0 {
		return query.InvalidQuery(wrong)
	}
	var found []list
	err = q.Read(w, r, Projection, func(ctx context.Context, view query.View) (err error) {
		// One list more than the page has shows whether there is another page.
		found, err = readLists(ctx, view, "id > $1 ORDER BY id LIMIT $2", after, limit+1)
		return err
	})
	if err != nil {
		return err
	}
	if len(found) > limit {
		found = found[:limit]
		q.LinkNext(w, r, parameters, query.EncodeCursor(found[limit-1].ID))
	}
	web.WriteJSON(w, http.StatusOK, found)
	return nil
}

// list answers GET /lists/{id}.
func (q queries) list(w http.ResponseWriter, r *http.Request) error {
	if _, err := query.Query(r); err != nil {
		return err
	}
	return q.ReadOne(w, r, Projection, lists.Aggregate, readList)
}

// readList reads a list with the items.
func readList(ctx context.Context, view query.View, id string, _ query.StreamHead) (any, error) {
	found, err := readLists(ctx, view, "id = $1", id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, query.NotFound(lists.Aggregate)
	}
	one := listWithItems{list: found[0], Items: []item{}}
	rows, err := view.Query(ctx, "SELECT item, quantity, checked FROM {items} WHERE list = $1 ORDER BY added_in", id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var i item
		if err := rows.Scan(&i.Item, &i.Quantity, &i.Checked); err != nil {
			return nil, err
		}
		one.Items = append(one.Items, i)
	}
	return one, rows.Err()
}

// readLists reads the lists of a condition.
func readLists(ctx context.Context, view query.View, where string, args ...any) ([]list, error) {
	rows, err := view.Query(ctx, "SELECT id, title, items, closed, version, created_at, updated_at FROM {lists} WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found, streams := []list{}, []string{}
	for rows.Next() {
		var l list
		if err := rows.Scan(&l.ID, &l.Title, &l.ItemCount, &l.Closed, &l.Version, &l.CreatedAt, &l.UpdatedAt); err != nil {
			return nil, err
		}
		found, streams = append(found, l), append(streams, lists.Aggregate.Stream(l.ID))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	parked, err := view.Parked(ctx, streams)
	for i := range found {
		_, found[i].Stale = parked[streams[i]]
	}
	return found, err
}
