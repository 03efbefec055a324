package userlist

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

// maxPrefix is how long the beginning of a name can be. No name is longer.
const maxPrefix = 200

type queries struct{ *query.Reader }

//go:embed openapi.yaml
var openAPI []byte

// Model is the read model, with its queries.
var Model = query.Model{Projection: Projection, Routes: Routes, OpenAPI: openAPI}

// Routes adds GET /users and GET /users/{id}.
func Routes(router *mux.Router, reader *query.Reader) {
	q := queries{reader}
	q.GetPages(router, "/users", q.list)
	q.Get(router, "/users/{id}", q.user)
}

// list answers GET /users.
func (q queries) list(w http.ResponseWriter, r *http.Request) error {
	parameters, err := query.Query(r, "limit", "after", "name", "active")
	if err != nil {
		return err
	}
	f, wrong := parseFilter(parameters)
	if len(wrong) > 0 {
		return query.InvalidQuery(wrong)
	}
	limit := f.limit
	f.limit++ // one user more shows whether there is a next page
	var page []user
	err = q.Read(w, r, Projection, func(ctx context.Context, view query.View) (err error) {
		page, err = list(ctx, view, f)
		return err
	})
	if err != nil {
		return err
	}
	if len(page) > limit {
		page = page[:limit]
		q.LinkNext(w, r, parameters, encodeCursor(page[limit-1].ID))
	}
	web.WriteEncoded(w, http.StatusOK, appendList(make([]byte, 0, len(page)*bytesPerUser), page))
	return nil
}

func parseFilter(parameters url.Values) (f filter, wrong []web.FieldError) {
	refuse := func(parameter, detail string) {
		wrong = append(wrong, web.FieldError{Parameter: parameter, Detail: detail})
	}
	f.limit, wrong = query.Limit(parameters)
	if parameters.Has("after") {
		id, err := parseCursor(parameters.Get("after"))
		if err != nil {
			refuse("after", err.Error())
		}
		f.after = id
	}
	if parameters.Has("name") {
		f.prefix = parameters.Get("name")
		if !isPrefix(f.prefix) {
			refuse("name", fmt.Sprintf("must be the beginning of a name: 1 to %d characters, without control characters", maxPrefix))
		}
	}
	if parameters.Has("active") {
		active := parameters.Get("active") == "true"
		if !active && parameters.Get("active") != "false" {
			refuse("active", "must be true or false")
		}
		f.active = &active
	}
	return f, wrong
}

// isPrefix says whether a name may begin with a text. PostgreSQL would refuse
// invalid UTF-8, and U+0000.
func isPrefix(text string) bool {
	if n := utf8.RuneCountInString(text); n < 1 || n > maxPrefix || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// user answers GET /users/{id}.
func (q queries) user(w http.ResponseWriter, r *http.Request) error {
	if _, err := query.Query(r); err != nil {
		return err
	}
	id, isID := query.PathID(r, users.Aggregate)
	if !isID { // Read adds the Position to the 404
		return q.Read(w, r, Projection, func(context.Context, query.View) error { return userNotFound() })
	}
	found, err := q.Find(w, r, Projection, table, projection.Row{users.ID(id).SortKey()}, users.Aggregate.Stream(id))
	if err != nil {
		return err
	}
	u, err := present(found)
	if err != nil {
		return err
	}
	state := strconv.FormatInt(u.Version, 10)
	if u.Stale {
		state += "-stale" // a stream is parked, and goes on, at the same version
	}
	if !query.NotModified(w, r, query.ETag(found.Generation, state)) {
		web.WriteEncoded(w, http.StatusOK, u.appendJSON(nil))
	}
	return nil
}

// present returns the found user. An absent or deleted user is a [web.Problem].
func present(found query.Found) (user, error) {
	switch u := userOf(found.Row); {
	case found.Row == nil && found.Parked:
		return u, web.Unavailable("the read model stopped at the first event of this user")
	case found.Row == nil:
		return u, userNotFound()
	case u.deleted:
		return u, userGone()
	default:
		u.Stale = found.Parked
		return u, nil
	}
}

func userNotFound() *web.Problem {
	return &web.Problem{
		Slug: users.ErrNotFound.Slug, Status: http.StatusNotFound,
		Title: "User not found", Detail: "there is no such user",
	}
}

func userGone() *web.Problem {
	return &web.Problem{
		Slug: users.ErrDeleted.Slug, Status: http.StatusGone,
		Title: "User deleted", Detail: "the user is deleted, and the id is never used again",
	}
}
