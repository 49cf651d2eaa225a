{{- define "gpuwise.fullname" -}}
{{- default (ternary .Release.Name (printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride)) (contains (default .Chart.Name .Values.nameOverride) .Release.Name)) .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "gpuwise.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "gpuwise.labels" -}}
{{ include "gpuwise.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gpuwise
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "gpuwise.image" -}}
{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end -}}

{{- define "gpuwise.tokenSecret" -}}
{{ default (printf "%s-token" (include "gpuwise.fullname" .)) .Values.service.tokenSecret.name }}
{{- end -}}

{{- define "gpuwise.exporterNamespace" -}}
{{ default .Release.Namespace .Values.exporter.namespace }}
{{- end -}}

{{/* What Pod Security Standard "restricted" asks of a container; the exporter adds its user itself. */}}
{{- define "gpuwise.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "gpuwise.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Mounts and volumes of every container that runs the loop: its configuration, its ledger, room for temporary files. */}}
{{- define "gpuwise.mounts" -}}
- name: config
  mountPath: /etc/gpuwise
  readOnly: true
- name: data
  mountPath: /var/lib/gpuwise
- name: tmp
  mountPath: /tmp
{{- if .Values.prometheus.bearerTokenSecret.name }}
- name: prometheus-token
  mountPath: /etc/gpuwise-prometheus
  readOnly: true
{{- end }}
{{- range .Values.prometheus.secrets }}
- name: secret-{{ . }}
  mountPath: /etc/gpuwise-secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "gpuwise.volumes" -}}
- name: config
  configMap:
    name: {{ include "gpuwise.fullname" . }}
- name: data
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ default (include "gpuwise.fullname" .) .Values.persistence.existingClaim }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: tmp
  emptyDir: {}
{{- with .Values.prometheus.bearerTokenSecret }}
{{- if .name }}
- name: prometheus-token
  secret:
    secretName: {{ .name }}
    items:
      - key: {{ .key }}
        path: token
{{- end }}
{{- end }}
{{- range .Values.prometheus.secrets }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . }}
{{- end }}
{{- end -}}
