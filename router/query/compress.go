package query

import (
	"net/http"

	"github.com/gorilla/mux"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/router/web"
)

const (
	// compressedFrom is how long an answer must be to be compressed: more than
	// fits into a packet or two.
	compressedFrom = 4 << 10
	// gzipLevel is the fastest one: a page of rows becomes a tenth of itself.
	gzipLevel = 1
)

// GetPages is [Reader.Get] for answers that may be long: they are compressed
// for clients that take that, with gzip or zstd (Accept-Encoding, RFC 9110,
// section 12.5.3). Their ETags are weak, and stay as they are.
func (rd *Reader) GetPages(router *mux.Router, path string, serve func(http.ResponseWriter, *http.Request) error) {
	compressed, err := gzhttp.NewWrapper(gzhttp.MinSize(compressedFrom), gzhttp.CompressionLevel(gzipLevel),
		gzhttp.EnableZstd(true), gzhttp.ZstdCompressionLevel(int(zstd.SpeedFastest)))
	if err != nil {
		panic(err) // the options are those above
	}
	router.Handle(path, compressed(web.Handler(rd.Log, serve))).Methods(http.MethodGet, http.MethodHead)
}
