package console

import (
	"log/slog"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/web"
)

// View is a page of the console.
type View struct {
	// Name is the view's name in addresses, such as "streams".
	Name string
	// Needs says what a process must have for the view, such as "the store".
	Needs string
	// Part answers the requests of the view. Nil means that this process can't:
	// the page names the peers.
	Part interface{ Routes(*API) }
}

// Peer is the admin address of another process.
type Peer struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Console is the console of one process.
type Console struct {
	Title   string // the service's name
	Version string
	Roles   []string
	Peers   []Peer
	Views   []View
	// Commands and Queries return the URLs where a browser reaches the command
	// service and the read API, "" if unknown. The request says how the browser
	// reaches this process.
	Commands, Queries func(*http.Request) string
	// Login takes tokens. Nil means that callers need no token.
	Login Login
	// Hosts are the names of this address, in the header Host. Empty allows every
	// name.
	Hosts []string
	// Pages says whether to serve the pages, beside the API.
	Pages bool
	// Stopping is closed when the process stops: answers that go on end then.
	Stopping <-chan struct{}
	Log      *slog.Logger
}

// Routes adds the page and the API to the routes of the admin address.
func (c *Console) Routes(router *mux.Router) {
	api := &API{router: router, log: c.Log, stop: c.Stopping}
	api.Get("/api/console", c.serve)
	c.sessionRoutes(api)
	for _, view := range c.Views {
		if view.Part != nil {
			view.Part.Routes(api)
		}
	}
	if c.Pages {
		c.pageRoutes(router)
	}
}

// described is a view in an answer.
type described struct {
	Name      string `json:"name"`
	Available bool   `json:"available"`
	Needs     string `json:"needs,omitempty"`
}

// serve tells a page about the process.
func (c *Console) serve(w http.ResponseWriter, r *http.Request) error {
	views := make([]described, 0, len(c.Views))
	for _, v := range c.Views {
		views = append(views, described{v.Name, v.Part != nil, v.Needs})
	}
	peers := c.Peers
	if peers == nil {
		peers = []Peer{}
	}
	web.WriteJSON(w, http.StatusOK, struct {
		Title    string      `json:"title"`
		Version  string      `json:"version"`
		Roles    []string    `json:"roles"`
		Views    []described `json:"views"`
		Peers    []Peer      `json:"peers"`
		Commands string      `json:"commands,omitempty"`
		Queries  string      `json:"queries,omitempty"`
		Login    bool        `json:"login"`
	}{c.Title, c.Version, c.Roles, views, peers, c.Commands(r), c.Queries(r), c.Login != nil})
	return nil
}
