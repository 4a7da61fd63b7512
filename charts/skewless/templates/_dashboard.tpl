{{/* The labels that pick the metrics of the release, as the ServiceMonitor gives them. Takes (dict "root" $ "mesh" MESH). */}}
{{- define "skewless.metricLabels" -}}
{{- if .root.Values.metrics.selector -}}
{{- .root.Values.metrics.selector -}}
{{- else -}}
{{- $jobs := list -}}
{{- range .mesh.components }}{{ if .service }}{{ $jobs = append $jobs .object }}{{ end }}{{ end -}}
{{- printf "namespace=%q, job=~%q" .root.Release.Namespace (join "|" $jobs) -}}
{{- end -}}
{{- end -}}

{{/*
A dashboard of Grafana as JSON, three panels a row.
Takes (dict "dashboard" {title, panels: [{title, unit, queries: [{expr, legend, exemplar: whether traces are shown}]}]} "labels" LABELS "uid" UID).
*/}}
{{- define "skewless.dashboard" -}}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" -}}
{{- $panels := list -}}
{{- range $index, $panel := .dashboard.panels -}}
{{- $targets := list -}}
{{- range $number, $query := $panel.queries -}}
{{- $targets = append $targets (dict
      "refId" (printf "Q%d" $number)
      "datasource" $source
      "expr" ($query.expr | replace "$mesh" $.labels)
      "exemplar" (default false $query.exemplar)
      "legendFormat" $query.legend) -}}
{{- end -}}
{{- $panels = append $panels (dict
      "id" (add $index 1)
      "type" "timeseries"
      "title" $panel.title
      "datasource" $source
      "gridPos" (dict "h" 8 "w" 8 "x" (mul 8 (mod $index 3)) "y" (mul 8 (div $index 3)))
      "fieldConfig" (dict "defaults" (dict "unit" $panel.unit "custom" (dict "fillOpacity" 5 "showPoints" "never")) "overrides" list)
      "options" (dict "legend" (dict "displayMode" "list" "placement" "bottom") "tooltip" (dict "mode" "multi"))
      "targets" $targets) -}}
{{- end -}}
{{- dict
      "uid" .uid
      "title" .dashboard.title
      "tags" (list "skewless")
      "schemaVersion" 39
      "editable" false
      "refresh" "30s"
      "time" (dict "from" "now-1h" "to" "now")
      "templating" (dict "list" (list (dict "name" "datasource" "type" "datasource" "query" "prometheus")))
      "panels" $panels | toPrettyJson -}}
{{- end -}}
