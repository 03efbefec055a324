package console

import (
	"log/slog"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/gorilla/mux"
	"github.com/klauspost/compress/gzhttp"

	"github.com/millrace/millrace/router/web"
)

// API takes the routes of views. All paths begin with /api/.
type API struct {
	router *mux.Router
	log    *slog.Logger
	stop   <-chan struct{} // closed when the process stops
}

// Get adds a route that changes nothing, for GET and HEAD.
func (a *API) Get(path string, serve func(http.ResponseWriter, *http.Request) error) {
	a.add(path, serve, http.MethodGet, http.MethodHead)
}

// Post adds a route for POST. A request must have a body of type
// application/json: a form of another site can't send such a body.
func (a *API) Post(path string, serve func(http.ResponseWriter, *http.Request) error) {
	a.add(path, jsonOnly(serve), http.MethodPost)
}

// Delete adds a route for DELETE.
func (a *API) Delete(path string, serve func(http.ResponseWriter, *http.Request) error) {
	a.add(path, serve, http.MethodDelete)
}

func (a *API) add(path string, serve func(http.ResponseWriter, *http.Request) error, methods ...string) {
	a.handle(path, packed(web.Handler(a.log, serve)), methods...)
}

func (a *API) handle(path string, handler http.Handler, methods ...string) {
	a.router.Handle(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store") // the answers are for the caller, and for now
		handler.ServeHTTP(w, r)
	})).Methods(methods...)
}

// packedFrom is the length from which answers are compressed, in bytes.
const packedFrom = 4 << 10

// packed compresses long answers with gzip if the client accepts gzip.
func packed(next http.Handler) http.Handler {
	wrapper, err := gzhttp.NewWrapper(gzhttp.MinSize(packedFrom), gzhttp.CompressionLevel(1))
	if err != nil {
		panic(err) // a mistake in the options above
	}
	return wrapper(next)
}

// jsonOnly refuses other bodies than JSON (415).
func jsonOnly(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
			return &web.Problem{
				Slug: "unsupported-media-type", Status: http.StatusUnsupportedMediaType,
				Title: "Unsupported media type", Detail: "the body must be application/json",
			}
		}
		return serve(w, r)
	}
}

// maxBody is the limit of a request's body, in bytes.
const maxBody = 1 << 16

// ReadJSON reads the body of a request into a struct. A wrong body is a
// [web.Problem] (400): no JSON, an unknown or repeated member, too long.
func ReadJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, maxBody), into, json.RejectUnknownMembers(true)); err != nil {
		return Invalid(web.FieldError{Detail: "must be a JSON object of the documented form"})
	}
	return nil
}

// Invalid returns the problem of a wrong request (400), with the wrong places.
func Invalid(errors ...web.FieldError) *web.Problem {
	return &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: "the request is not valid", Errors: errors,
	}
}
