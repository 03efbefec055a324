package web

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// NewRouter returns a router that never redirects (a 301 turns a POST into a
// GET) and answers an unknown path with 404, and a known one asked with the
// wrong method with 405 and Allow, both as problems. Path variables stay
// percent-encoded until a handler decodes them.
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

// allowed lists the methods that the router has for the request's path.
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

// Handler is a handler that returns what went wrong: a [Problem] is answered
// as it is, any other error is logged and answered with 503, for all that can
// go wrong beyond a request is that something is away.
func Handler(log *slog.Logger, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	var logSampler LogSampler
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil {
			return
		}
		var problem *Problem
		if !errors.As(err, &problem) {
			if r.Context().Err() == nil { // a client that leaves is no failure of ours
				logSampler.Warn(log, "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			}
			problem = Unavailable("the service can't answer this now; try again")
		}
		// Also where the client seems gone: one that only closed its sending
		// side still reads, and nothing written would read as 200.
		problem.ServeHTTP(w, r)
	})
}
