package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/web"
)

//go:embed assets
var embedded embed.FS

// assetsPath is the path of the files. The next part of a path is the digest of
// all files: a browser keeps a file for ever, and asks for a new path after a
// new build.
const assetsPath = "/assets/"

// asset is a file of the page.
type asset struct {
	mediaType      string
	plain, gzipped []byte
}

// files has all files by path below assets, and the digest of all files.
type files struct {
	digest string
	byPath map[string]asset
}

// load reads and packs the embedded files, once.
var load = sync.OnceValue(func() files {
	all := files{byPath: map[string]asset{}}
	digest := sha256.New()
	err := fs.WalkDir(embedded, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		digest.Write([]byte(name + "\x00"))
		digest.Write(text)
		all.byPath[strings.TrimPrefix(name, "assets/")] = asset{mediaTypeOf(name), text, gzipped(text)}
		return nil
	})
	if err != nil {
		panic(err) // the files are part of this program
	}
	all.digest = hex.EncodeToString(digest.Sum(nil)[:6])
	page := all.byPath["index.html"]
	page.plain = bytes.ReplaceAll(page.plain, []byte("{{assets}}"), []byte(assetsPath+all.digest))
	page.gzipped = gzipped(page.plain)
	all.byPath["index.html"] = page
	return all
})

// mediaTypeOf is the type of a file by its ending. The types of the machine
// don't matter.
func mediaTypeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	default:
		return mime.TypeByExtension(path.Ext(name))
	}
}

func gzipped(text []byte) []byte {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is allowed
	}
	_, _ = w.Write(text) // into memory
	_ = w.Close()
	return packed.Bytes()
}

// pageRoutes adds the page, and the files.
func (c *Console) pageRoutes(router *mux.Router) {
	router.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		page := load().byPath["index.html"]
		h := w.Header()
		h.Set("Content-Security-Policy", c.policy(r))
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		page.serve(w, r)
	}).Methods(http.MethodGet, http.MethodHead)
	router.PathPrefix(assetsPath).Methods(http.MethodGet, http.MethodHead).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		digest, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, assetsPath), "/")
		file, ok := load().byPath[name]
		if !ok || name == "index.html" || digest != load().digest {
			(&web.Problem{Slug: "not-found", Status: http.StatusNotFound, Title: "Not found", Detail: "there is nothing at this path"}).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		file.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.gzipped
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // after an error the client is gone
	}
}

// policy is the Content-Security-Policy of the page: own files only, no text as
// code or as HTML, no frames. The page may connect to this address, to the
// command service and to the read API.
func (c *Console) policy(r *http.Request) string {
	connect := []string{"'self'"}
	for _, at := range []string{c.Commands(r), c.Queries(r)} {
		if u, err := url.Parse(at); err == nil && u.Host != "" {
			if origin := u.Scheme + "://" + u.Host; !slices.Contains(connect, origin) {
				connect = append(connect, origin)
			}
		}
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src " + strings.Join(connect, " ") +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}
