package query

import (
	"net/http"

	"github.com/gorilla/mux"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/router/web"
)

const (
	// compressedFrom is the length from which answers are compressed, in bytes: more
	// than fits into a packet or two.
	compressedFrom = 4 << 10
	// gzipLevel is the fastest level. A page of rows shrinks to a tenth.
	gzipLevel = 1
)

// GetPages is [Reader.Get] for long answers. Answers are compressed with gzip or
// zstd if the client accepts the encoding (Accept-Encoding, RFC 9110, section
// 12.5.3). ETags are weak, and stay the same.
func (rd *Reader) GetPages(router *mux.Router, path string, serve func(http.ResponseWriter, *http.Request) error) {
	compressed, err := gzhttp.NewWrapper(gzhttp.MinSize(compressedFrom), gzhttp.CompressionLevel(gzipLevel),
		gzhttp.EnableZstd(true), gzhttp.ZstdCompressionLevel(int(zstd.SpeedFastest)))
	if err != nil {
		panic(err) // a mistake in the options above
	}
	router.Handle(path, compressed(web.Handler(rd.Log, serve))).Methods(http.MethodGet, http.MethodHead)
}
