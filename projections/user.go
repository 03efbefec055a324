package projections

import (
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/web"
)

// UserNotFound is the problem of a user who was never created.
func UserNotFound() *web.Problem {
	return &web.Problem{
		Slug: "user-not-found", Status: http.StatusNotFound,
		Title: "User not found", Detail: "there is no such user",
	}
}

// PathID is the user id in the path of a route with {id}, and false if no user
// can have such an id.
func PathID(r *http.Request) (users.ID, bool) {
	text, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return "", false
	}
	id, err := users.ParseID(text)
	return id, err == nil
}
