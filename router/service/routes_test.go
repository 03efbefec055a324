package service

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/gateway"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web/guard"
)

// routers are the routers of a process with all roles, by the port in the
// document.
func routers(t *testing.T) map[string]*mux.Router {
	t.Helper()
	type generations = readmodel.Generations // which has a method of its name
	m := &Process{Service: registeredDomain(t), Config: config.Default(), Log: slog.New(slog.DiscardHandler), health: new(health), kafka: new(kafka.Kafka)}
	status := &modelStatus{Process: m, store: struct{ generations }{}}
	m.metrics = newMetrics(m, status)
	m.secure.operators = &guard.Guard{Callers: new(guard.Callers)}
	c := m.newConsole(config.Default(), Addresses{}, nil, status, nil)
	commands, err := m.commandRoutes(new(gateway.Gateway))
	if err != nil {
		t.Fatal(err)
	}
	queries, err := m.queryRoutes(new(query.Reader))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*mux.Router{
		"http://localhost:3001": commands,
		"http://localhost:3002": queries,
		"http://localhost:3003": m.adminRoutes(status, c),
	}
}

// routesOf are the methods and paths of a router, "GET /users". HEAD stands
// with each GET, and isn't told.
func routesOf(t *testing.T, router *mux.Router) (routes []string) {
	t.Helper()
	err := router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods()
		if err != nil {
			methods = []string{"any method"}
		}
		both := slices.Contains(methods, http.MethodGet) && slices.Contains(methods, http.MethodHead)
		for _, method := range methods {
			switch {
			case both && method == http.MethodHead:
			case !both && method == http.MethodGet:
				routes = append(routes, "GET without HEAD "+path)
			default:
				routes = append(routes, method+" "+path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

// documented are the methods and paths of a server in the document.
func documented(t *testing.T, server string) (routes []string) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(documents.OpenAPI(registeredDomain(t).description()), &document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		var servers []struct{ URL string }
		if err := json.Unmarshal(item["servers"], &servers); err != nil {
			t.Fatal(err)
		}
		for member := range item {
			if member == "servers" || member == "parameters" {
				continue
			}
			for _, s := range servers {
				if s.URL == server {
					routes = append(routes, strings.ToUpper(member)+" "+path)
				}
			}
		}
	}
	return routes
}

// differences are the routes of a router without a description, and the
// described routes without a router. The document leaves out Go's profiles, and
// the console's page.
func differences(t *testing.T, server string, router *mux.Router) string {
	t.Helper()
	routes := slices.DeleteFunc(routesOf(t, router), func(route string) bool {
		return strings.HasPrefix(route, "GET /debug/pprof/") || strings.HasPrefix(route, "GET /assets/") || route == "GET /"
	})
	said := documented(t, server)
	slices.Sort(routes)
	slices.Sort(said)
	return cmp.Diff(said, routes)
}

// Each route of each address is in the document, and nothing else is.
func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	for server, router := range routers(t) {
		if diff := differences(t, server, router); diff != "" {
			t.Errorf("%s (-documented +routed):\n%s", server, diff)
		}
	}
}

// The test above notices an undocumented route, or method.
func TestNewRoutesAreNoticed(t *testing.T) {
	t.Parallel()
	for name, add := range map[string]func(*mux.Router) *mux.Route{
		"a path": func(r *mux.Router) *mux.Route {
			return r.NewRoute().Path("/new").Methods(http.MethodGet, http.MethodHead)
		},
		"a method":    func(r *mux.Router) *mux.Route { return r.NewRoute().Path(openAPIPath).Methods(http.MethodDelete) },
		"all methods": func(r *mux.Router) *mux.Route { return r.NewRoute().Path("/commands") },
		"a GET alone": func(r *mux.Router) *mux.Route { return r.NewRoute().Path("/new").Methods(http.MethodGet) },
	} {
		for server, router := range routers(t) {
			add(router)
			if differences(t, server, router) == "" {
				t.Errorf("%s: %s is not noticed", server, name)
			}
		}
	}
	if diff := differences(t, "http://localhost:3001", mux.NewRouter()); diff == "" {
		t.Error("that a router has nothing is not noticed")
	}
}
