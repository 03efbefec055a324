package web

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/logging"
)

// NewRouter returns a router that never redirects, because a 301 turns a POST
// into a GET. An unknown path is answered with 404, a wrong method with 405 and
// Allow, both as problems. Path variables stay percent-encoded until a handler
// decodes them.
func NewRouter() *mux.Router {
	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	r.NotFoundHandler = &Problem{
		Slug: "not-found", Status: http.StatusNotFound,
		Title: "Not found", Detail: "there is nothing at this path",
	}
	r.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		allow := strings.Join(allowed(r, req), ", ")
		w.Header().Set("Allow", allow)
		(&Problem{
			Slug: "method-not-allowed", Status: http.StatusMethodNotAllowed,
			Title: "Method not allowed", Detail: "this path takes " + allow,
		}).ServeHTTP(w, req)
	})
	return r
}

// allowed returns the methods of the request's path, sorted.
func allowed(r *mux.Router, req *http.Request) []string {
	var methods []string
	_ = r.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		of, err := route.GetMethods()
		if err != nil {
			return nil //nolint:nilerr // a route for every method never ends in 405
		}
		for _, method := range of {
			probe := req.Clone(req.Context())
			probe.Method = method
			if route.Match(probe, &mux.RouteMatch{}) && !slices.Contains(methods, method) {
				methods = append(methods, method)
			}
		}
		return nil
	})
	slices.Sort(methods)
	return methods
}

// Handler turns a function with an error into a handler. The handler answers
// with the error if the error is a [Problem]. Any other error is logged and
// answered with 503: beyond a wrong request, only a missing server makes a
// request fail.
func Handler(log *slog.Logger, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	var logSampler logging.Sampler
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, detached(r))
		if err == nil {
			return
		}
		var problem *Problem
		if !errors.As(err, &problem) {
			if r.Context().Err() == nil { // a client that leaves is no failure of the service
				logSampler.Warn(log, "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			}
			problem = Unavailable("the service can't answer this now; try again")
		}
		// The answer goes to clients that seem gone, too. A client may have closed
		// the sending side only, and would read silence as 200.
		problem.ServeHTTP(w, r)
	})
}
