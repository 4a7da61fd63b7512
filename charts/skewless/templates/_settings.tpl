{{/* Where health is answered without TLS, in the pods of online: kubelets speak none. */}}
{{- define "skewless.healthPort" -}}50059{{- end -}}

{{/* Not empty if a component answers health at that port. Takes (dict "root" $ "component" the component). */}}
{{- define "skewless.hasHealthPort" -}}
{{- if and (eq (.component.service | default "") "online") .root.Values.access.tls.secretName }}true{{ end -}}
{{- end -}}

{{/*
The settings that the chart itself gives a service, as JSON; secrets only as names of files.
Takes (dict "root" $ "mesh" MESH "component" the component of the mesh).
*/}}
{{- define "skewless.chartSettings" -}}
{{- $values := .root.Values -}}
{{- $component := .component -}}
{{- $mesh := .mesh -}}
{{- $settings := dict
      "listen" (printf "%s:%v" $values.bindHost $component.ports.grpc)
      "metrics_listen" (printf "%s:%v" $values.bindHost $component.ports.metrics) -}}
{{- range $component.calls }}{{ $_ := set $settings (snakecase .) (index $mesh.addresses .) }}{{ end -}}
{{- if has "database" $component.uses -}}
{{- if $mesh.bundled.database -}}
{{- $_ := set $settings "migrate" "auto" -}}
{{- else -}}
{{- $_ := set $settings "migrate" (ternary "auto" "never" (eq $values.migrations.by "registry")) -}}
{{- $_ := set $settings "database_url_file" "/etc/skewless/database/url" -}}
{{- end -}}
{{- end -}}
{{- if and (has "store" $component.uses) (not $mesh.bundled.store) -}}
{{- $_ := set $settings "store_url_file" "/etc/skewless/store/url" -}}
{{- if $values.store.ca.secretName -}}
{{- $_ := set $settings "store_ca_file" "/etc/skewless/store-ca/ca.crt" -}}
{{- end -}}
{{- if $values.store.certificate.secretName -}}
{{- $_ := set $settings "store_cert_file" "/etc/skewless/store-certificate/tls.crt" -}}
{{- $_ := set $settings "store_key_file" "/etc/skewless/store-certificate/tls.key" -}}
{{- end -}}
{{- end -}}
{{- if has "broker" $component.uses -}}
{{- if $mesh.bundled.broker -}}
{{- $_ := set $settings "broker" (index $mesh.addresses "trial-kafka") -}}
{{- else -}}
{{- $_ := set $settings "broker" $values.broker.address -}}
{{- $_ := set $settings "broker_protocol" $values.broker.protocol -}}
{{- if $values.broker.credentials.secretName -}}
{{- $_ := set $settings "broker_mechanism" $values.broker.mechanism -}}
{{- $_ := set $settings "broker_username_file" "/etc/skewless/broker/username" -}}
{{- $_ := set $settings "broker_password_file" "/etc/skewless/broker/password" -}}
{{- end -}}
{{- if $values.broker.ca.secretName -}}
{{- $_ := set $settings "broker_ca_file" "/etc/skewless/broker-ca/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if has "lake" $component.uses -}}
{{- $_ := set $settings "lake" (ternary $values.lake.url "/lake/tables" (eq $mesh.lake "url")) -}}
{{- end -}}
{{- if eq $component.service "online" -}}
{{- $_ := set $settings "api_keys" $values.access.apiKeys -}}
{{- $_ := set $settings "key_rate" (int64 $values.access.keyRate) -}}
{{- $_ := set $settings "project_rate" (int64 $values.access.projectRate) -}}
{{- $_ := set $settings "queue_target_ms" (int64 $values.access.queueTargetMs) -}}
{{- if $values.access.tls.secretName -}}
{{- $_ := set $settings "tls_cert_file" "/etc/skewless/tls/tls.crt" -}}
{{- $_ := set $settings "tls_key_file" "/etc/skewless/tls/tls.key" -}}
{{- $_ := set $settings "health_listen" (printf "%s:%s" $values.bindHost (include "skewless.healthPort" $)) -}}
{{- end -}}
{{- if $values.access.clientCa.secretName -}}
{{- $_ := set $settings "tls_client_ca_file" "/etc/skewless/client-ca/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- if eq $component.service "offline" }}{{ $_ := set $settings "sources" $values.lake.sources }}{{ end -}}
{{- $settings | toJson -}}
{{- end -}}

{{/* The settings file of a service. Takes what skewless.chartSettings takes. */}}
{{- define "skewless.settings" -}}
{{- $settings := mergeOverwrite (deepCopy .root.Values.settings) .component.settings (include "skewless.chartSettings" . | fromJson) -}}
{{- range $key := keys $settings | sortAlpha }}
{{ $key }} = {{ index $settings $key | toJson }}
{{- end }}
{{- end -}}
