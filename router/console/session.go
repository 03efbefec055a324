package console

import (
	"net/http"

	"github.com/millrace/millrace/router/web"
	"github.com/millrace/millrace/router/web/guard"
)

// Login keeps the token of a caller in a cookie.
type Login interface {
	// LogIn checks the token, and sets the cookie. An error is a [web.Problem].
	LogIn(w http.ResponseWriter, r *http.Request, token string) error
}

// sessionPath is the path of login and logout. Callers need no token here.
const sessionPath = "/api/session"

func (c *Console) sessionRoutes(api *API) {
	api.Post(sessionPath, c.logIn)
	api.Delete(sessionPath, c.logOut)
}

// logIn keeps the token of the body in a cookie, if the token has the scope
// operate.
func (c *Console) logIn(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token string `json:"token"`
	}
	if err := ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body.Token == "" {
		return Invalid(web.FieldError{Pointer: "/token", Detail: "must not be empty"})
	}
	if c.Login != nil {
		if err := c.Login.LogIn(w, r, body.Token); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *Console) logOut(w http.ResponseWriter, r *http.Request) error {
	guard.LogOut(w, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
