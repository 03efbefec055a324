package query

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/web"
)

// PathID is the id of an aggregate in the path of a route with {id}, and false
// if the aggregate refuses the id.
func PathID(r *http.Request, t *aggregate.Type) (string, bool) {
	text, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return "", false
	}
	id, err := t.ParseID(text)
	return id, err == nil
}

// NotFound is the 404 for an aggregate without events.
func NotFound(t *aggregate.Type) *web.Problem {
	name := t.Name()
	return &web.Problem{
		Slug: name + "-not-found", Status: http.StatusNotFound,
		Title: strings.ToUpper(name[:1]) + name[1:] + " not found", Detail: "there is no such " + name,
	}
}
